"""The state of a provider in this process: its circuit, its throttle and its rate limit."""

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
    """The state of one provider. Logs when its circuit opens or closes, and calls `on_change`."""

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
        """Record that the provider would not open."""
        before = self.breaker.state
        self.breaker.record_failure(why, _moment())
        self._tell(before)

    @contextmanager
    def offering(self) -> Generator[None]:
        """Wraps an offer that `allows` admitted. If the offer was the probe and ends without a recorded
        result, for whatever reason, the next caller of `allows` probes."""
        probe = self.breaker.state is CircuitState.PROBING
        try:
            yield
        finally:
            if probe:
                self.breaker.release_probe()

    def record_outcome(self, domain: str, outcome: Outcome, priority: Priority = Priority.NORMAL) -> None:
        """Record the outcome of a message to `domain` in the lane `priority`."""
        before, moment = self.breaker.state, _moment()
        self.breaker.record_outcome(outcome, moment)
        if not outcome.about_us:
            self.throttle.record_outcome(domain, outcome, moment, priority)
        self._tell(before)

    def describe(self) -> str:
        """Its circuit in words, with the addresses that a provider repeats masked."""
        return f"the circuit of {self.name} is {mask_in(self.breaker.describe(_moment()))}"

    def _tell(self, before: str) -> None:
        if self.breaker.state is not before:
            logger.warning("%s", self.describe())
            self.on_change(self)


def _moment() -> float:
    return asyncio.get_running_loop().time()
