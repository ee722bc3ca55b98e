"""A circuit breaker: a provider that does not work gets nothing for a while. Pure.

Closed, everything goes through. It opens after some connections in a row that failed or were answered with
a refusal about us (our name, login, sender, address, quota), or when nearly all of the last answers were
refusals that are not about a recipient. Once its rest is over one message probes: taken, the circuit closes;
not, it rests twice as long.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from waypost.model.outcome import Outcome, Phase, Verdict

FAILURES = 3  # connections in a row
WINDOW = 40  # answers looked back at
REFUSED = 0.8  # of them
OPEN_SECONDS = 15.0  # seconds of the first rest
LONGEST_OPEN_SECONDS = 300.0


class CircuitState(StrEnum):
    """Whether messages go through."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "half-open"


@dataclass(slots=True)
class CircuitBreaker:
    """One provider's circuit. Every moment is a steady clock's seconds."""

    state: CircuitState = CircuitState.CLOSED
    why: str = ""
    until: float = 0.0
    _failures: int = 0
    _rest: float = OPEN_SECONDS
    _answers: deque[bool] = field(default_factory=lambda: deque[bool](maxlen=WINDOW))

    def allows(self, moment: float) -> bool:
        """Whether a message may be offered now. After a rest only the first who asks may, as the probe:
        whoever got a yes tells by `failed`, `answered` or `gave_up` what came of it."""
        if self.state is CircuitState.OPEN and moment >= self.until:
            self.state = CircuitState.PROBING
            return True
        return self.state is CircuitState.CLOSED

    def is_open(self, moment: float) -> bool:
        """Whether it takes nothing, and no probe is due either."""
        return self.state is CircuitState.PROBING or (self.state is CircuitState.OPEN and moment < self.until)

    def record_failure(self, why: str, moment: float) -> None:
        """It would not open: nothing was sent."""
        self._failures += 1
        if self.state is CircuitState.PROBING or self._failures >= FAILURES:
            self._open(why, moment)

    def record_outcome(self, outcome: Outcome, moment: float) -> None:
        """It answered, whatever it said."""
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
        """The probe was not made after all; the next who asks makes it."""
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
            return  # others that were under way tell of the same trouble
        self._rest = (
            min(self._rest * 2, LONGEST_OPEN_SECONDS) if self.state is CircuitState.PROBING else OPEN_SECONDS
        )
        self.state, self.why, self.until = CircuitState.OPEN, why, moment + self._rest
        self._answers.clear()

    def _close(self) -> None:
        self.state, self.why, self._rest, self._failures = CircuitState.CLOSED, "", OPEN_SECONDS, 0
        self._answers.clear()


def broke_off(outcome: Outcome) -> bool:
    """Whether it is a connection that was lost before the message was on the wire, rather than an answer."""
    return outcome.verdict is Verdict.DEFERRED and outcome.code is None and outcome.phase is not Phase.DOT


def hangs(outcome: Outcome) -> bool:
    """Whether it took a message whole and does not answer, with the connection open."""
    return outcome.verdict is Verdict.UNKNOWN and outcome.wait is not None


def blames_us(outcome: Outcome) -> bool:
    """Whether a refusal is about the sender or the message's way, not about its recipient: RFC 3463 gives
    5.1 (addresses) and 5.2 (mailboxes) to recipients; without such a code the phase says it."""
    if outcome.verdict is not Verdict.REFUSED:
        return False
    if outcome.enhanced:
        return not outcome.enhanced.startswith(("5.1.", "5.2.")) or outcome.enhanced in _OF_THE_SENDER
    return outcome.phase is not Phase.RCPT


_OF_THE_SENDER = frozenset({"5.1.7", "5.1.8"})  # RFC 3463, section 3.2
