"""What goes wrong in a simulation, and when: drawn from its seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

CALM_AFTER = 90.0  # seconds; from then on nothing goes wrong any more, and everything must come to an end


@dataclass(slots=True)
class Weather:
    """The faults of one seed. A fault that lasts is an interval of seconds."""

    random: Random
    time: Callable[[], float]
    deaths: float  # the chance that a process dies at a step
    lost_answers: float  # the chance that a commit's answer does not arrive
    ledger_down: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    prefect_down: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    provider_down: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    bad_replies: float = 0.0  # the share of messages a provider does not simply take
    runs_astray: float = 0.0  # the share of Prefect's runs that crash, or are given to two workers
    jumps: float = 0.0  # seconds by which a process's wall clock may be wrong

    @classmethod
    def drawn(cls, random: Random, time: Callable[[], float]) -> Weather:
        """A third of the seeds are calm in each respect, so that faults are seen alone and together."""

        def share(*most: float) -> float:
            return random.choice((0.0, *most))

        def spells(most: int, longest: float) -> list[tuple[float, float]]:
            found: list[tuple[float, float]] = []
            for _ in range(random.randint(0, most)):
                begins = random.uniform(0, CALM_AFTER * 0.7)
                found.append((begins, begins + random.uniform(0.5, longest)))
            return found

        return cls(
            random=random,
            time=time,
            deaths=share(0.004, 0.02),
            lost_answers=share(0.01, 0.05),
            ledger_down=spells(2, 8.0),
            prefect_down=spells(2, 30.0),
            provider_down=spells(2, 20.0),
            bad_replies=share(0.2, 0.6),
            runs_astray=share(0.1, 0.3),
            jumps=share(0.0, 20.0),
        )

    @property
    def calm(self) -> bool:
        """Whether the storm is over."""
        return self.time() >= CALM_AFTER

    def ledger_answers(self) -> None:
        """Raises OSError while the database is down."""
        if self._within(self.ledger_down):
            raise ConnectionRefusedError("the simulated database is down")

    def answer_arrives(self) -> None:
        """Raises OSError when the connection is lost after a commit."""
        if self.happens(self.lost_answers):
            raise ConnectionResetError("the simulated connection was lost after the commit")

    def prefect_answers(self) -> bool:
        return not self._within(self.prefect_down)

    def provider_opens(self) -> bool:
        return not self._within(self.provider_down)

    def happens(self, chance: float) -> bool:
        """Whether a fault of that chance comes now; none does once it is calm."""
        return not self.calm and chance > 0 and self.random.random() < chance

    def _within(self, spells: list[tuple[float, float]]) -> bool:
        return any(begins <= self.time() < ends for begins, ends in spells)
