"""How a provider stands with this process: its circuit, its pace and its rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from waypost.breaker import Breaker, Circuit
from waypost.mail.address import mask_in
from waypost.outcome import Outcome
from waypost.pace import Pace
from waypost.priority import Priority
from waypost.rate import Rate

logger = logging.getLogger("waypost.providers")


@dataclass(slots=True)
class Standing:
    """One provider's. Says in the log when its circuit opens or closes, and to `on_change`."""

    name: str
    breaker: Breaker = field(default_factory=Breaker)
    pace: Pace = field(default_factory=Pace)
    rate: Rate | None = None
    on_change: Callable[[Standing], None] = field(default=lambda _: None)

    def admits(self) -> bool:
        """Whether a message may be offered now; see Breaker.admits."""
        return self.breaker.admits(_moment())

    def rests(self) -> bool:
        """Whether it is left alone."""
        return self.breaker.rests(_moment())

    def failed(self, why: str) -> None:
        """It would not open."""
        before = self.breaker.circuit
        self.breaker.failed(why, _moment())
        self._tell(before)

    @contextmanager
    def offering(self) -> Generator[None]:
        """Around what was admitted: if it ends and nothing was told of it, for whatever reason, the probe it
        may have been is left to the next who asks."""
        probe = self.breaker.circuit is Circuit.PROBING
        try:
            yield
        finally:
            if probe:
                self.breaker.gave_up()

    def answered(self, domain: str, outcome: Outcome, priority: Priority = Priority.NORMAL) -> None:
        """It said something of a message to `domain`, of a lane."""
        before, moment = self.breaker.circuit, _moment()
        self.breaker.answered(outcome, moment)
        if not outcome.about_us:
            self.pace.answered(domain, outcome, moment, priority)
        self._tell(before)

    def describe(self) -> str:
        """Its circuit in words, without the addresses a provider repeats in its own."""
        return f"{self.name} is {mask_in(self.breaker.describe(_moment()))}"

    def _tell(self, before: str) -> None:
        if self.breaker.circuit is not before:
            logger.warning("%s", self.describe())
            self.on_change(self)


def _moment() -> float:
    return asyncio.get_running_loop().time()
