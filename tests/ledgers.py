"""A small type, requests for it, and a look at the rows: what the ledger's tests speak in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from waypost import Category, Facts, Grouping, NotificationType, Recipient, Request
from waypost.ledger import Ledger, claims, intake
from waypost.ledger.tables import attempts, notifications
from waypost.notification import Notification, Receipt
from waypost.request import AnyRequest


class Note(Facts):
    text: str = "hello"


class NoteRequest(Request[Note]):
    digest: bool = False

    @property
    def digested(self) -> bool:
        return self.digest


NOTE = NotificationType(
    name="note",
    facts=Note,
    request=NoteRequest,
    category=Category.TRANSACTIONAL,
    route=("email",),
    deadline=timedelta(hours=1),
)
GROUPED = NotificationType(
    name="note",
    facts=Note,
    request=NoteRequest,
    category=Category.ALERT,
    route=("email",),
    deadline=timedelta(hours=1),
    grouping=Grouping(key=lambda note: note.text, window=timedelta(minutes=5)),
)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def ask(text: str = "hello", to: str = "ada", **more: Any) -> AnyRequest:
    """A request for a note."""
    recipient = more.pop("recipient", Recipient(id=to, email=f"{to}@a.example"))
    return NoteRequest(recipient=recipient, data=Note(text=text), **more)


async def accepted(ledger: Ledger, count: int = 1, batch: UUID | None = None, **more: Any) -> list[Receipt]:
    """`count` notes accepted, each to a recipient of its own."""
    requests = [ask(to=f"r{number}", **more) for number in range(count)]
    return await intake.accept(ledger, NOTE, requests, batch)


async def claimed(ledger: Ledger, count: int = 1) -> tuple[UUID, list[Notification]]:
    """`count` notes in the hands of a run."""
    batch = uuid7()
    await accepted(ledger, count, batch)
    return batch, await claims.claim(ledger, "note", batch)


async def rows(ledger: Ledger, table: sa.Table = notifications) -> list[Any]:
    """Every row of `table`, oldest first."""
    async with ledger.read() as connection:
        return list((await connection.execute(sa.select(table).order_by(*table.primary_key))).all())


async def attempt_rows(ledger: Ledger) -> list[Any]:
    """Every attempt, oldest first."""
    return await rows(ledger, attempts)


async def change(ledger: Ledger, **values: Any) -> None:
    """Set columns of every notification: how these tests let time pass."""
    async with ledger.write() as connection:
        await connection.execute(sa.update(notifications).values(**values))
