"""Decides whether and when an event is posted again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from waypost.ledger.records.webhook_outbox import LIFETIME, Again, Event

DELAYS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
)
SPREAD = 0.1  # so that events that failed together are not retried together


def again(event: Event, wait: timedelta | None, moment: datetime, chance: float) -> Again | None:
    """When to post `event` again after a failure at `moment`; None if it would be too old by then. wait: the
    delay that the response asked for. chance: 0 to 1."""
    usual = DELAYS[min(event.tries, len(DELAYS) - 1)] * (1 + SPREAD * chance)
    due_at = moment + max(usual, wait or usual)
    return None if due_at > event.at + LIFETIME else Again(event.id, due_at, event.tries + 1)


def released(event: Event) -> Again:
    """`event` as it was before it was claimed."""
    return Again(event.id, event.due_at, event.tries)
