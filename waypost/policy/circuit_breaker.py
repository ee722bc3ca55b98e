"""A circuit breaker: a provider that does not work gets no messages for a while. Pure.

A closed circuit lets all messages through. It opens after some failures in a row (no connection, no answer,
or a refusal about us: our name, login, sender, address, quota), or when nearly all of the last answers were
refusals that are not about a recipient. When its pause is over, one message probes. If the probe fails, the
circuit opens for twice as long. If the probe is refused for another reason than its recipient, a circuit that
such refusals opened opens for as long as before. Otherwise the circuit closes.

A refusal may be the fault of one client's mail. So the refusals of one client do not open a provider's
circuit unless another client is refused too. They open a circuit of the client's own, which stops its mail
alone (waypost/delivery/provider_state.py). Thus a provider that refuses everything gets no more mail even if
only one client sends, and the mail of any other client is still offered. Mail without a client is the
operator's: its refusals count for all.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum

from waypost.model.outcome import Outcome, Phase, Verdict

FAILURES = 3  # in a row
WINDOW = 40  # the last answers that count
REFUSED = 0.8  # the share of them
OF_ONE = 0.5  # the share of these refusals that may be of one client
OPEN_SECONDS = 15.0  # the first pause
LONGEST_OPEN_SECONDS = 300.0
OTHERS_FIRST_SECONDS = 5.0  # after a pause: the client whose message opened the circuit probes later


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
    _by: str = ""  # the client whose message opened it last
    _of_refusals: bool = False  # whether the share of refusals opened it
    _failures: int = 0
    _failed: set[str] = field(default_factory=set[str])  # the clients of these failures
    _rest: float = OPEN_SECONDS
    _answers: deque[tuple[str, bool]] = field(default_factory=lambda: deque[tuple[str, bool]](maxlen=WINDOW))

    def allows(self, moment: float, client: str = "") -> bool:
        """Whether a message of `client` may be offered now. After a pause only the first caller may, as the
        probe. A caller that got True must call `record_failure`, `record_outcome` or `release_probe`
        afterwards."""
        later = OTHERS_FIRST_SECONDS if client and client == self._by else 0.0
        if self.state is CircuitState.OPEN and moment >= self.until + later:
            self.state = CircuitState.PROBING
            return True
        return self.state is CircuitState.CLOSED

    @property
    def is_failing(self) -> bool:
        """Whether it is not closed, or its last message failed."""
        return self.state is not CircuitState.CLOSED or self._failures > 0

    def is_open(self, moment: float) -> bool:
        """Whether no message may be offered, and no probe is due."""
        return self.state is CircuitState.PROBING or (self.state is CircuitState.OPEN and moment < self.until)

    def record_failure(self, why: str, moment: float, client: str = "") -> None:
        """Record a failure, for example that the provider would not open. client: whose mail it is about, if
        the mail may be at fault."""
        self._failures += 1
        self._failed.add(client)
        alone = len(self._failed) == 1 and client != ""
        if self.state is CircuitState.PROBING or (self._failures >= FAILURES and not alone):
            self._open(why, moment, client)

    def record_outcome(self, outcome: Outcome, moment: float, client: str = "") -> None:
        """Record the outcome of a message of `client` that was offered."""
        if is_failure(outcome):
            self.record_failure(str(outcome), moment)
        elif outcome.about_us:
            self.record_failure(str(outcome), moment, client)
        else:
            self._record_answer(outcome, moment, client)

    def _record_answer(self, outcome: Outcome, moment: float, client: str) -> None:
        self._failures, refused = 0, blames_us(outcome)
        self._failed.clear()
        self._answers.append((client, refused))
        if self.state is CircuitState.PROBING:
            if refused and self._of_refusals:
                self._open(self.why, moment, client, of_refusals=True)
            else:
                self._close()
        elif refused and self._refuses_all():
            refusals = sum(refused for _, refused in self._answers)
            why = f"{refusals} of its last {WINDOW} responses were refusals ({outcome})"
            self._open(why, moment, client, of_refusals=True)

    def _refuses_all(self) -> bool:
        """Whether nearly all of the last answers were refusals, and not mainly of one client's mail."""
        of = Counter(client for client, refused in self._answers if refused)
        most = max((count for client, count in of.items() if client), default=0)
        enough = len(self._answers) == WINDOW and of.total() >= REFUSED * WINDOW
        return enough and most <= OF_ONE * of.total()

    def release_probe(self) -> None:
        """The probe was not made; the next caller of `allows` makes it."""
        if self.state is CircuitState.PROBING:
            self.state = CircuitState.OPEN

    def describe(self, moment: float) -> str:
        """The state in words, for reports and logs."""
        if self.state is CircuitState.CLOSED:
            return "closed"
        if self.state is CircuitState.PROBING:
            return f"open, probed now: {self.why}"
        return f"open for {max(0, self.until - moment):.0f} s: {self.why}"

    def _open(self, why: str, moment: float, client: str, *, of_refusals: bool = False) -> None:
        if self.state is CircuitState.OPEN:
            return  # other messages that were under way report the same failure
        if self.state is CircuitState.CLOSED:
            self._rest = OPEN_SECONDS
        elif not of_refusals:
            self._rest = min(self._rest * 2, LONGEST_OPEN_SECONDS)
        self.state, self.why, self.until = CircuitState.OPEN, why, moment + self._rest
        self._by, self._of_refusals = client, of_refusals
        self._answers.clear()

    def _close(self) -> None:
        self.state, self.why, self._rest, self._by = CircuitState.CLOSED, "", OPEN_SECONDS, ""
        self._failures, self._of_refusals = 0, False
        self._failed.clear()
        self._answers.clear()


def is_failure(outcome: Outcome) -> bool:
    """Whether the provider failed, whatever the message was: it broke off, or it hangs."""
    return broke_off(outcome) or hangs(outcome)


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
