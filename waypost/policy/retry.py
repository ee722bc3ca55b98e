"""What happens next: pure decisions over values.

No IO, no Prefect, no exceptions.

After an UNKNOWN no other provider is ever tried: the first provider may have delivered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from waypost.model.notification_type import Doubt, RetryPolicy
from waypost.model.outcome import Outcome, Verdict
from waypost.model.states import State

DOUBTS_ALLOWED = 1  # an attempt in doubt is resent once with the same Message-ID, then a person decides
NO_OTHER = "no other provider is tried, because an earlier attempt may have been delivered"
NO_TIME_LEFT = "no time left for a retry"
GRID = 10  # a wait ends on a multiple of its tenth, so that deferrals made together come back as one batch


@dataclass(frozen=True, slots=True)
class Decision:
    """The state a notification moves to. `due` is when a deferred notification comes back; `falls_back`
    lets the next step of its route try."""

    state: State
    reason: str = ""
    due: datetime | None = None
    falls_back: bool = False


def backoff(retry: RetryPolicy, tries: int, jitter: float) -> timedelta:
    """How long to wait after `tries` tries (at least 1); `jitter` in [0, 1) adds up to a quarter.

    Jitter keeps runs that were deferred together from coming back together.
    """
    wait = retry.first.total_seconds() * retry.factor ** min(tries - 1, 30)
    return timedelta(seconds=min(wait, retry.longest.total_seconds()) * (1 + jitter / 4))


def due_after(wait: timedelta, now: datetime) -> datetime:
    """The moment `wait` after `now`, or later by up to a tenth of `wait`."""
    grid = wait.total_seconds() / GRID
    if grid <= 0:
        return now
    return datetime.fromtimestamp(math.ceil((now + wait).timestamp() / grid) * grid, UTC)


def due_again(
    retry: RetryPolicy, tries: int, jitter: float, now: datetime, at_least: timedelta | None = None
) -> datetime:
    """When a notification is due again after `tries` tries. at_least: the wait that a server named. The
    type's own growing wait holds too: a server that always names a minute is not asked every minute."""
    return due_after(max(backoff(retry, tries, jitter), at_least or timedelta()), now)


_SENT = Decision(State.SENT)


def after(
    outcome: Outcome,
    *,
    retry: RetryPolicy,
    doubt: Doubt,
    tries: int,
    in_doubt: int,
    expires_at: datetime,
    now: datetime,
    jitter: float,
) -> Decision:
    """The decision that follows from the outcome of an attempt.

    tries: attempts made so far, this one included. in_doubt: earlier attempts that ended UNKNOWN.
    """
    if outcome.verdict is Verdict.ACCEPTED:  # most are
        return _SENT
    said = str(outcome)
    match outcome.verdict:
        case Verdict.REFUSED if in_doubt:
            return Decision(State.FAILED, f"{said}; {NO_OTHER}")
        case Verdict.REFUSED:
            return Decision(State.FAILED, said, falls_back=True)
        case Verdict.UNKNOWN:
            due = due_again(retry, tries, jitter, now, at_least=outcome.wait)
            return doubtful(said, doubt, in_doubt, due, expires_at)
        case Verdict.DEFERRED:
            due = due_again(retry, tries, jitter, now, at_least=outcome.wait)
            return defer(said, due=due, expires_at=expires_at, now=now, in_doubt=in_doubt)


def doubtful(said: str, doubt: Doubt, before: int, due: datetime, expires_at: datetime) -> Decision:
    """The decision for a notification that a provider may or may not have taken, after `before`
    earlier such attempts."""
    if doubt is Doubt.DROP:
        return Decision(State.FAILED, f"in doubt; dropped, as its type says: {said}")
    if doubt is Doubt.HOLD or before >= DOUBTS_ALLOWED:
        return Decision(State.HELD, f"in doubt; a person decides: {said}")
    if due >= expires_at:
        return Decision(State.EXPIRED, f"in doubt; too late to send again: {said}")
    return Decision(State.DEFERRED, said, due=due)


def defer(reason: str, *, due: datetime, expires_at: datetime, now: datetime, in_doubt: int = 0) -> Decision:
    """Defer until `due`. If the deadline is sooner, the next step of the route may try at once, except for a
    notification that this provider may have delivered."""
    if now >= expires_at:
        return Decision(State.EXPIRED, f"the deadline passed before it was sent: {reason}")
    if due >= expires_at:
        left = f"; {NO_OTHER}" if in_doubt else ""
        return Decision(State.FAILED, f"{NO_TIME_LEFT}: {reason}{left}", falls_back=not in_doubt)
    return Decision(State.DEFERRED, reason, due=due)
