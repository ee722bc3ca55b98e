"""The types that a simulation sends: one per lane, each with another `when_in_doubt`, and a digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import State

from waypost import Batch, Category, Doubt, Facts, NotificationType, Priority, Report, Request, RetryPolicy
from waypost.model.notification import HeldItem, Notification
from waypost.tasks import collect, deliver, fallback, lookup, render, report

_QUICK = RetryPolicy(first=timedelta(seconds=3), factor=2.0, longest=timedelta(seconds=20))


class Note(Facts):
    text: str


class NoteRequest(Request[Note]):
    """digest: let it wait for the next digest."""

    digest: bool = False

    @property
    def digested(self) -> bool:
        return self.digest


def _type(name: str, priority: Priority, doubt: Doubt, *, digest: bool = False) -> NotificationType:
    return NotificationType(
        name=name,
        facts=Note,
        category=Category.TRANSACTIONAL,
        digest=digest,
        route=("sms",),
        deadline=timedelta(minutes=5),
        retry=_QUICK,
        priority=priority,
        when_in_doubt=doubt,
    )


CODE = _type("code", Priority.URGENT, Doubt.RESEND)
RECEIPT = _type("receipt", Priority.NORMAL, Doubt.HOLD)
NEWSLETTER = _type("newsletter", Priority.BULK, Doubt.DROP)
DIGEST = _type("digest", Priority.BULK, Doubt.RESEND, digest=True)
TYPES = {one.name: one for one in (CODE, RECEIPT, NEWSLETTER, DIGEST)}


def compose(items: Sequence[HeldItem], _until: datetime) -> dict[str, Any]:
    """A digest that says which items it carries."""
    return {"text": " ".join(str(item.id) for item in items)}


Having = Callable[[Batch[Notification]], AbstractContextManager[None]]


async def take_steps(
    type: NotificationType, having: Having, requests: Sequence[NoteRequest] = (), batch: UUID | None = None
) -> State[Report]:
    """The body of every shipped flow. having: a context that lasts while the run has its notifications."""
    if type is DIGEST:
        batch = batch or await collect(DIGEST, of=RECEIPT.name, compose=compose)
    notifications = await lookup(type, requests, batch)
    with having(notifications):
        messages = await render(notifications)
        outcomes = await deliver(messages)
        outcomes = await fallback(outcomes)
        return await report(outcomes)
