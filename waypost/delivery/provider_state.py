"""How a provider stands with this process: its circuit, its pace and its rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from waypost.delivery.rate_limiter import RateLimiter
from waypost.mail.masking import mask_in
from waypost.model.outcome import Outcome
from waypost.model.priority import Priority
from waypost.policy.circuit_breaker import CircuitBreaker, CircuitState
from waypost.policy.domain_throttle import DomainThrottle

logger = logging.getLogger("waypost.providers")


@dataclass(slots=True)
class ProviderState:
    """One provider's. Says in the log when its circuit opens or closes, and to `on_change`."""

    name: str
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    throttle: DomainThrottle = field(default_factory=DomainThrottle)
    rate_limiter: RateLimiter | None = None
    on_change: Callable[[ProviderState], None] = field(default=lambda _: None)

    def allows(self) -> bool:
        """Whether a message may be offered now; see CircuitBreaker.allows."""
        return self.breaker.allows(_moment())

    def is_open(self) -> bool:
        """Whether its circuit is open."""
        return self.breaker.is_open(_moment())

    def record_failure(self, why: str) -> None:
        """It would not open."""
        before = self.breaker.state
        self.breaker.record_failure(why, _moment())
        self._tell(before)

    @contextmanager
    def offering(self) -> Generator[None]:
        """Around what was admitted: if it ends and nothing was told of it, for whatever reason, the probe it
        may have been is left to the next who asks."""
        probe = self.breaker.state is CircuitState.PROBING
        try:
            yield
        finally:
            if probe:
                self.breaker.release_probe()

    def record_outcome(self, domain: str, outcome: Outcome, priority: Priority = Priority.NORMAL) -> None:
        """It said something of a message to `domain`, of a lane."""
        before, moment = self.breaker.state, _moment()
        self.breaker.record_outcome(outcome, moment)
        if not outcome.about_us:
            self.throttle.record_outcome(domain, outcome, moment, priority)
        self._tell(before)

    def describe(self) -> str:
        """Its circuit in words, without the addresses a provider repeats in its own."""
        return f"the circuit of {self.name} is {mask_in(self.breaker.describe(_moment()))}"

    def _tell(self, before: str) -> None:
        if self.breaker.state is not before:
            logger.warning("%s", self.describe())
            self.on_change(self)


def _moment() -> float:
    return asyncio.get_running_loop().time()
