"""A circuit breaker: a provider that does not work gets no messages for a while. Pure.

A closed circuit lets all messages through. It opens after some failures in a row (no connection, no answer,
or a refusal about us: our name, login, sender, address, quota), or when nearly all of the last answers were
refusals that are not about a recipient. When its pause is over, one message probes. If the provider fails or
refuses in that way again, the circuit opens for twice as long; otherwise it closes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from waypost.model.outcome import Outcome, Phase, Verdict

FAILURES = 3  # in a row
WINDOW = 40  # the last answers that count
REFUSED = 0.8  # the share of them
OPEN_SECONDS = 15.0  # the first pause
LONGEST_OPEN_SECONDS = 300.0


class CircuitState(StrEnum):
    """Whether messages go through."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "half-open"


@dataclass(slots=True)
class CircuitBreaker:
    """One provider's circuit. Every moment is in seconds of a monotonic clock."""

    state: CircuitState = CircuitState.CLOSED
    why: str = ""
    until: float = 0.0
    _failures: int = 0
    _rest: float = OPEN_SECONDS
    _answers: deque[bool] = field(default_factory=lambda: deque[bool](maxlen=WINDOW))

    def allows(self, moment: float) -> bool:
        """Whether a message may be offered now. After a pause only the first caller may, as the probe. A
        caller that got True must call `record_failure`, `record_outcome` or `release_probe` afterwards."""
        if self.state is CircuitState.OPEN and moment >= self.until:
            self.state = CircuitState.PROBING
            return True
        return self.state is CircuitState.CLOSED

    def is_open(self, moment: float) -> bool:
        """Whether no message may be offered, and no probe is due."""
        return self.state is CircuitState.PROBING or (self.state is CircuitState.OPEN and moment < self.until)

    def record_failure(self, why: str, moment: float) -> None:
        """Record a failure, for example that the provider would not open."""
        self._failures += 1
        if self.state is CircuitState.PROBING or self._failures >= FAILURES:
            self._open(why, moment)

    def record_outcome(self, outcome: Outcome, moment: float) -> None:
        """Record the outcome of a message that was offered."""
        if outcome.about_us or broke_off(outcome) or hangs(outcome):
            self.record_failure(str(outcome), moment)
            return
        self._failures, blamed = 0, blames_us(outcome)
        self._answers.append(blamed)
        if self.state is CircuitState.PROBING:
            if blamed:
                self._open(self.why, moment)
            else:
                self._close()
        elif len(self._answers) == WINDOW and sum(self._answers) >= REFUSED * WINDOW:
            self._open(f"{sum(self._answers)} of its last {WINDOW} answers were refusals ({outcome})", moment)

    def release_probe(self) -> None:
        """The probe was not made; the next caller of `allows` makes it."""
        if self.state is CircuitState.PROBING:
            self.state = CircuitState.OPEN

    def describe(self, moment: float) -> str:
        """The state in words, for reports and logs."""
        if self.state is CircuitState.CLOSED:
            return "closed"
        if self.state is CircuitState.PROBING:
            return f"open, being probed: {self.why}"
        return f"open for {max(0, self.until - moment):.0f} s: {self.why}"

    def _open(self, why: str, moment: float) -> None:
        if self.state is CircuitState.OPEN:
            return  # other messages that were under way report the same failure
        self._rest = (
            min(self._rest * 2, LONGEST_OPEN_SECONDS) if self.state is CircuitState.PROBING else OPEN_SECONDS
        )
        self.state, self.why, self.until = CircuitState.OPEN, why, moment + self._rest
        self._answers.clear()

    def _close(self) -> None:
        self.state, self.why, self._rest, self._failures = CircuitState.CLOSED, "", OPEN_SECONDS, 0
        self._answers.clear()


def broke_off(outcome: Outcome) -> bool:
    """Whether the connection was lost before the message was on the wire, without an answer."""
    return outcome.verdict is Verdict.DEFERRED and outcome.code is None and outcome.phase is not Phase.DOT


def hangs(outcome: Outcome) -> bool:
    """Whether the provider took a whole message and does not answer, with the connection open."""
    return outcome.verdict is Verdict.UNKNOWN and outcome.wait is not None


def blames_us(outcome: Outcome) -> bool:
    """Whether an outcome is a refusal that is not about its recipient. RFC 3463 gives 5.1 (addresses, except
    5.1.7 and 5.1.8) and 5.2 (mailboxes) to recipients. Without an enhanced code, the phase decides."""
    if outcome.verdict is not Verdict.REFUSED:
        return False
    if outcome.enhanced:
        return not outcome.enhanced.startswith(("5.1.", "5.2.")) or outcome.enhanced in _OF_THE_SENDER
    return outcome.phase is not Phase.RCPT


_OF_THE_SENDER = frozenset({"5.1.7", "5.1.8"})  # RFC 3463, section 3.2
