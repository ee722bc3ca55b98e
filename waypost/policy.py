"""What happens next: pure decisions over values. No IO, no Prefect, no exceptions.

UNKNOWN never falls back: the first provider may have delivered.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from waypost.notification_type import RetryPolicy
from waypost.outcome import Outcome, Verdict
from waypost.states import State

DOUBTS_ALLOWED = 1  # an attempt in doubt is resent once with the same Message-ID, then a person decides


@dataclass(frozen=True, slots=True)
class Decision:
    """The state a notification moves to. `due` is when a deferred one comes back; `refused` lets
    the next step of its route try."""

    state: State
    reason: str = ""
    due: datetime | None = None
    refused: bool = False


def backoff(retry: RetryPolicy, tries: int, jitter: float) -> timedelta:
    """How long to wait after `tries` tries (at least 1); `jitter` in [0, 1) adds up to a quarter.

    Jitter keeps a burst that was deferred together from coming back together.
    """
    wait = retry.first.total_seconds() * retry.factor ** min(tries - 1, 30)
    return timedelta(seconds=min(wait, retry.longest.total_seconds()) * (1 + jitter / 4))


def after(
    outcome: Outcome,
    *,
    retry: RetryPolicy,
    tries: int,
    in_doubt: int,
    expires_at: datetime,
    now: datetime,
    jitter: float | None = None,
) -> Decision:
    """What an outcome makes of a notification.

    tries: attempts made so far, this one included. in_doubt: earlier attempts that ended UNKNOWN.
    """
    match outcome.verdict:
        case Verdict.ACCEPTED:
            return Decision(State.SENT)
        case Verdict.REFUSED:
            return Decision(State.FAILED, str(outcome), refused=True)
        case Verdict.UNKNOWN if in_doubt >= DOUBTS_ALLOWED:
            return Decision(State.HELD, f"in doubt, a person decides: {outcome}")
        case Verdict.UNKNOWN | Verdict.DEFERRED:
            wait = outcome.wait or backoff(retry, tries, random.random() if jitter is None else jitter)
            return defer(str(outcome), due=now + wait, expires_at=expires_at)


def defer(reason: str, *, due: datetime, expires_at: datetime) -> Decision:
    """Come back at `due`, unless the deadline is sooner: then it would never be sent."""
    if due >= expires_at:
        return Decision(State.EXPIRED, f"deadline passed while deferred: {reason}")
    return Decision(State.DEFERRED, reason, due=due)


def expired(expires_at: datetime, now: datetime) -> bool:
    """Whether it is too late to send."""
    return now >= expires_at
