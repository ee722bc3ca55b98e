"""The faults of a simulation and their times, drawn from its seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

CALM_AFTER = 60.0  # seconds; from then on there are no more faults, and every notification must end
# Seconds for a death, the lapse of a lease, the reaper's turn and the dispatcher's: then all has recovered.
RECOVERY_SECONDS = 20.0

Spell = tuple[float, float]
T = TypeVar("T")


@dataclass(slots=True)
class Faults:
    """The faults of one seed. A fault that lasts is an interval of seconds.

    disturbances: the intervals after faults that do not last, in which slowness is excused.
    """

    random: Random
    time: Callable[[], float]
    deaths: float = 0.0  # the chance that a process dies at a step
    lost_answers: float = 0.0  # the chance that a commit's answer does not arrive
    ledger_down: list[Spell] = field(default_factory=list[Spell])
    prefect_down: list[Spell] = field(default_factory=list[Spell])
    provider_down: list[Spell] = field(default_factory=list[Spell])
    bad_replies: float = 0.0  # the share of messages that a provider does not simply take
    runs_astray: float = 0.0  # the share of Prefect's runs that crash, or are given to two workers
    pace: float = 0.05  # seconds a message takes on average: from 0 to twice as many
    limited: bool = False  # whether Prefect, not a dispatcher, says which worker has a run
    jumps: float = 0.0  # seconds by which a process's wall clock may be wrong
    disturbances: list[Spell] = field(default_factory=list[Spell])

    @classmethod
    def drawn(cls, random: Random, time: Callable[[], float]) -> Faults:
        """Draw the faults. Most seeds have few kinds, so that faults occur alone as well as together."""
        stormy = random.choice((0.1, 0.3, 0.7))

        def share(*one_of: float) -> float:
            return random.choice(one_of) if random.random() < stormy else 0.0

        def spells(most: int, longest: float, begin_within: float) -> list[Spell]:
            found: list[Spell] = []
            for _ in range(random.randint(1, most) if random.random() < stormy else 0):
                begins = random.uniform(0, begin_within)
                found.append((begins, begins + random.uniform(0.5, longest)))
            return found

        return cls(
            random=random,
            time=time,
            deaths=share(0.004, 0.02),
            lost_answers=share(0.01, 0.05),
            ledger_down=spells(2, 20.0, 30.0),  # longer than three leases
            prefect_down=spells(2, 50.0, 10.0),
            provider_down=spells(2, 20.0, 30.0),
            bad_replies=share(0.2, 0.6),
            runs_astray=share(0.1, 0.3),
            pace=random.choice((0.05, 0.05, 0.8)),
            limited=random.random() < 0.3,
            jumps=share(20.0),
        )

    @property
    def calm(self) -> bool:
        """Whether the time of faults is over."""
        return self.time() >= CALM_AFTER

    def disturb(self) -> None:
        """Record a fault, just now, that takes RECOVERY_SECONDS to recover from."""
        self.disturbances.append((self.time(), self.time() + RECOVERY_SECONDS))

    def ledger_answers(self) -> None:
        """Raises OSError while the database is down."""
        if within(self.ledger_down, self.time()):
            raise ConnectionRefusedError("the simulated database is down")

    def answer_arrives(self) -> None:
        """Raises OSError when the connection is lost after a commit."""
        if self.happens(self.lost_answers):
            self.disturb()
            raise ConnectionResetError("the simulated connection was lost after the commit")

    def prefect_answers(self) -> bool:
        return not within(self.prefect_down, self.time())

    def provider_opens(self) -> bool:
        return not within(self.provider_down, self.time())

    def goes_astray(self) -> bool:
        """Whether Prefect, or a person in its UI, now does the wrong thing with a run."""
        if astray := self.happens(self.runs_astray / 2):
            self.disturb()
        return astray

    def shuffled(self, names: Iterable[T]) -> list[T]:
        """The names in a random order; in their own order once it is calm."""
        some = list(names)
        return some if self.calm else self.random.sample(some, len(some))

    def happens(self, chance: float) -> bool:
        """Whether a fault of that chance happens now; none does once it is calm."""
        return not self.calm and chance > 0 and self.random.random() < chance


def within(spells: list[Spell], moment: float) -> bool:
    """Whether one of `spells` lasts at `moment`."""
    return any(begins <= moment < ends for begins, ends in spells)


def lasting(spells: list[Spell], moment: float) -> float:
    """For how many seconds from `moment` on one of `spells` lasts."""
    end = moment
    for begins, ends in sorted(spells):
        if begins <= end < ends:
            end = ends
    return end - moment


def longer(spells: list[Spell], seconds: float) -> list[Spell]:
    """Each of `spells`, longer by `seconds`."""
    return [(begins, ends + seconds) for begins, ends in spells]


def outside(spells: list[Spell], begins: float, ends: float) -> float:
    """How many of the seconds from `begins` to `ends` none of `spells` covers."""
    left, at = 0.0, begins
    for first, last in sorted(spells):
        if first >= ends:
            break
        left += max(0.0, first - at)
        at = max(at, last)
    return left + max(0.0, ends - at)
