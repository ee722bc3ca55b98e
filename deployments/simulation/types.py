"""The types a simulation sends, one a lane, each with another answer to a doubt."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from tasks import deliver, fallback, lookup, render, report
from waypost import Category, Doubt, Facts, NotificationType, Priority, Report, RetryPolicy

_QUICK = RetryPolicy(first=timedelta(seconds=3), factor=2.0, longest=timedelta(seconds=20))


class Note(Facts):
    text: str


def _type(name: str, priority: Priority, doubt: Doubt) -> NotificationType:
    return NotificationType(
        name=name,
        facts=Note,
        category=Category.TRANSACTIONAL,
        route=("sms",),
        deadline=timedelta(minutes=5),
        retry=_QUICK,
        priority=priority,
        when_in_doubt=doubt,
    )


TYPES = {
    one.name: one
    for one in (
        _type("code", Priority.URGENT, Doubt.RESEND),
        _type("receipt", Priority.NORMAL, Doubt.HOLD),
        _type("newsletter", Priority.BULK, Doubt.DROP),
    )
}


async def take_steps(type: NotificationType, batch: UUID) -> Report:
    """The body of every shipped flow."""
    notifications = await lookup(type, batch=batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
