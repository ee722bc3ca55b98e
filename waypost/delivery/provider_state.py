"""The state of a provider in this process: its circuits, its throttle and its rate limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from waypost.delivery.rate_limiter import RateLimiter
from waypost.mail.masking import mask_in
from waypost.model.outcome import Outcome
from waypost.model.priority import Priority
from waypost.policy.circuit_breaker import CircuitBreaker, CircuitState, blames_us, is_failure
from waypost.policy.domain_throttle import DomainThrottle
from waypost.system.clock import now

logger = logging.getLogger("waypost.providers")


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """A circuit that stops mail. client: whose mail; empty for all. since: the first failure. until: when it
    lets a message probe; None when the next message probes, or one does now."""

    provider: str
    client: str
    since: datetime
    until: datetime | None
    why: str


@dataclass(slots=True)
class ProviderState:
    """The state of one provider. Logs when a circuit opens or closes, and calls `on_change` with the client
    whose circuit it is; empty for the provider's.

    breaker: the provider's circuit. of_clients: the circuits of clients whose mail was refused, each for the
    mail of its client alone (waypost/policy/circuit_breaker.py). The empty client stands for mail without a
    client, which has only the provider's circuit.
    """

    name: str
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    throttle: DomainThrottle = field(default_factory=DomainThrottle)
    rate_limiter: RateLimiter | None = None
    on_change: Callable[[ProviderState, str], None] = field(default=lambda _state, _client: None)
    of_clients: dict[str, CircuitBreaker] = field(default_factory=dict[str, CircuitBreaker])
    _failing_since: dict[str, datetime] = field(default_factory=dict[str, datetime])

    def allows(self, client: str = "") -> bool:
        """Whether a message of `client` may be offered now; see CircuitBreaker.allows."""
        moment, own = _moment(), self.of_clients.get(client)
        if own is None:
            return self.breaker.allows(moment, client)
        return not own.is_open(moment) and self.breaker.allows(moment, client) and own.allows(moment)

    def is_open(self, client: str = "") -> bool:
        """Whether a circuit is open for the mail of `client`."""
        return any(circuit.is_open(_moment()) for circuit in self._circuits(client).values())

    def is_closed(self, client: str = "") -> bool:
        """Whether the circuit of `client` is closed; the provider's for the empty client."""
        return self._circuits(client).get(client, self.breaker).state is CircuitState.CLOSED

    def record_failure(self, why: str) -> None:
        """Record that the provider would not open."""
        before = self._states("")
        self.breaker.record_failure(why, _moment())
        self._tell_changes(before)

    @contextmanager
    def offering(self, client: str = "") -> Generator[None]:
        """Wraps an offer that `allows` admitted. If the offer was the probe and ends without a recorded
        result, for whatever reason, the next caller of `allows` probes."""
        circuits = self._circuits(client).values()
        probed = [circuit for circuit in circuits if circuit.state is CircuitState.PROBING]
        try:
            yield
        finally:
            for circuit in probed:
                circuit.release_probe()

    def record_outcome(
        self, domain: str, outcome: Outcome, priority: Priority = Priority.NORMAL, client: str = ""
    ) -> None:
        """Record the outcome of a message of `client` to `domain` in the lane `priority`."""
        moment = _moment()
        if client and (outcome.about_us or blames_us(outcome)):
            self.of_clients.setdefault(client, CircuitBreaker())
        before = self._states(client)
        self.breaker.record_outcome(outcome, moment, client)
        if client in self.of_clients and not is_failure(outcome):
            self.of_clients[client].record_outcome(outcome, moment)
        self._tell_changes(before)
        if not outcome.about_us:
            self.throttle.record_outcome(domain, outcome, moment, priority)

    def describe(self, client: str = "") -> str:
        """The circuit that stops the mail of `client`, or its own if none does, in words. Addresses that a
        provider repeats are masked."""
        stopped = self.breaker.state is not CircuitState.CLOSED
        whose = "" if stopped and self.is_closed(client) else client
        own = self.of_clients.get(whose)
        mail = f" for the mail of client {whose}" if own else ""
        return f"the circuit of {self.name}{mail} is {mask_in((own or self.breaker).describe(_moment()))}"

    def open_circuits(self) -> list[OpenCircuit]:
        """The circuits that are not closed, with their reasons; addresses are masked."""
        moment, present = _moment(), now()
        return [
            OpenCircuit(
                provider=self.name,
                client=client,
                since=self._failing_since.get(client, present),
                until=present + timedelta(seconds=circuit.until - moment)
                if circuit.is_open(moment) and circuit.state is CircuitState.OPEN
                else None,
                why=mask_in(circuit.why),
            )
            for client, circuit in {"": self.breaker, **self.of_clients}.items()
            if circuit.state is not CircuitState.CLOSED
        ]

    def opens_in(self) -> float:
        """Seconds until the provider's circuit lets a message through; 0 if it does now."""
        return max(0.0, self.breaker.until - _moment()) if self.is_open() else 0.0

    def _circuits(self, client: str) -> dict[str, CircuitBreaker]:
        """The circuits that a message of `client` passes, by client."""
        own = self.of_clients.get(client)
        return {"": self.breaker} if own is None else {"": self.breaker, client: own}

    def _states(self, client: str) -> list[tuple[str, CircuitBreaker, CircuitState]]:
        """The circuits that a message of `client` passes, and their states."""
        return [(whose, circuit, circuit.state) for whose, circuit in self._circuits(client).items()]

    def _tell_changes(self, before: list[tuple[str, CircuitBreaker, CircuitState]]) -> None:
        """Tell of the circuits whose state is no longer what it was."""
        for whose, circuit, state in before:
            self._note_since(whose, circuit)
            if circuit.state is not state:
                self._tell(whose)

    def _note_since(self, client: str, circuit: CircuitBreaker) -> None:
        """A circuit opens some failures after the first, which is when the provider stopped to work."""
        if circuit.is_failing:
            self._failing_since.setdefault(client, now())
        else:
            self._failing_since.pop(client, None)

    def _tell(self, client: str) -> None:
        logger.warning("%s", self.describe(client))
        self.on_change(self, client)


def _moment() -> float:
    return asyncio.get_running_loop().time()
