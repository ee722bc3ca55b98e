"""A type and flow as a user would write them, with retries short enough for a test."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from prefect import State, flow

from support.ledger import Note
from waypost import Category, NotificationType, Report, Request, RetryPolicy
from waypost.tasks import deliver, fallback, lookup, render, report

TYPE = NotificationType(
    name="note",
    facts=Note,
    category=Category.TRANSACTIONAL,
    route=("email", "sms"),
    deadline=timedelta(hours=1),
    retry=RetryPolicy(connect=(0.1, 0.1)),
)


@flow(name="exiting-note")
async def exiting_note(requests: list[Request[Note]] = [], batch: UUID | None = None) -> State[Report]:
    """A flow whose own code, between two steps, calls for the process to exit."""
    await lookup(TYPE, requests, batch)
    raise SystemExit("hunter2")


@flow(name="faulty-note")
async def faulty_note(requests: list[Request[Note]] = [], batch: UUID | None = None) -> State[Report]:
    """A flow whose own code fails whenever it has something to send."""
    notifications = await lookup(TYPE, requests, batch)
    if len(notifications):
        raise ValueError("hunter2")
    return await report(await deliver(await render(notifications)))


@flow(name="lingering-note")
async def lingering_note(requests: list[Request[Note]] = [], batch: UUID | None = None) -> State[Report]:
    """A flow whose code lasts half a second longer than its batch."""
    reported = await report(await deliver(await render(await lookup(TYPE, requests, batch))))
    await asyncio.sleep(0.5)
    return reported


@flow(name=TYPE.name)
async def note(requests: list[Request[Note]] = [], batch: UUID | None = None) -> State[Report]:
    notifications = await lookup(TYPE, requests, batch)
    messages = await render(notifications)
    outcomes = await deliver(messages)
    outcomes = await fallback(outcomes)
    return await report(outcomes)
