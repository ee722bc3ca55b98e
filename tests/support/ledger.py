"""The vocabulary of the ledger's tests: a small type, requests for it, and reads of the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import event

from support.rings import ring
from waypost import Category, Facts, Grouping, NotificationType, Priority, Recipient, Request
from waypost.ledger import Ledger, open_ledger
from waypost.ledger.database.sealing import SEALED
from waypost.ledger.database.tables import attempts, batches, notifications
from waypost.ledger.intake import accept
from waypost.ledger.queue import claims
from waypost.ledger.queue.digests import bundle
from waypost.ledger.queue.reaper import Lapsed, Reclaimed, reclaim
from waypost.model.notification import HeldItem, Notification
from waypost.model.receipt import Receipt
from waypost.model.request import AnyRequest


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
DIGEST = NotificationType(
    name="digest",
    facts=Note,
    category=Category.ALERT,
    digest=True,
    route=("email",),
    deadline=timedelta(hours=1),
)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def ask(text: str = "hello", to: str = "ada", **more: Any) -> AnyRequest:
    """A request for a note."""
    recipient = more.pop("recipient", Recipient(id=to, email=f"{to}@a.example"))
    return NoteRequest(recipient=recipient, data=Note(text=text), **more)


async def accepted(
    ledger: Ledger, count: int = 1, intake_id: UUID | None = None, **more: Any
) -> list[Receipt]:
    """Accept `count` notes, each to a recipient of its own."""
    requests = [ask(to=f"r{number}", **more) for number in range(count)]
    return await accept.accept(ledger, NOTE, requests, intake_id)


async def reserved(ledger: Ledger, type: str = "note", **more: Any) -> claims.Claim | None:
    """Claim what is due in a type's normal lane."""
    return await claims.reserve(ledger, type, Priority.NORMAL, **more)


async def claimed(ledger: Ledger, count: int = 1) -> tuple[UUID, list[Notification]]:
    """Accept `count` notes, and take them up in a batch."""
    await accepted(ledger, count)
    return await taken(ledger)


async def taken(ledger: Ledger) -> tuple[UUID, list[Notification]]:
    """Claim the due notes, and take them up; returns the batch and the notes."""
    claim = await reserved(ledger)
    assert claim is not None
    return claim.id, (await claims.take_up(ledger, "note", claim.id)).notifications


def compose(items: Sequence[HeldItem], until: datetime) -> dict[str, Any]:
    """The facts of a digest of notes."""
    return {"text": ",".join(item.data["text"] for item in items)}


async def bundled(ledger: Ledger, *texts: str) -> UUID:
    """Accept a note of each text, and put all in one digest; returns the digest's batch."""
    await accept.accept(ledger, NOTE, [ask(text, digest=True) for text in texts])
    batch, _ = await bundle(ledger, DIGEST, "note", compose)
    return batch


async def rows(ledger: Ledger, table: sa.Table = notifications, *where: sa.ColumnElement[bool]) -> list[Any]:
    """Every row of `table` (where `where`), oldest first, with its personal data."""
    wanted = sa.select(table).where(*where).order_by(*table.primary_key)
    found = await ledger.read(lambda connection: connection.execute(wanted).all())
    return [ledger.sealing.row(table, row) for row in found] if table in SEALED else list(found)


async def attempt_rows(ledger: Ledger) -> list[Any]:
    """Every attempt, oldest first."""
    return await rows(ledger, attempts)


async def change(
    ledger: Ledger, table: sa.Table = notifications, *where: sa.ColumnElement[bool], **values: Any
) -> None:
    """Set columns of every row (where `where`), as these tests do to let time pass."""
    changed = sa.update(table).where(*where).values(**values)
    await ledger.write(lambda connection: connection.execute(changed))


async def run_sql(ledger: Ledger, text: str) -> None:
    """Run one statement."""
    await ledger.write(lambda connection: connection.execute(sa.text(text)))


@contextmanager
def changed_per_transaction(ledger: Ledger, by: str = "UPDATE notifications") -> Generator[list[int]]:
    """How many rows each transaction of the block changes with statements that begin with `by`."""
    engine: Any = getattr(ledger.engine, "sync_engine", ledger.engine)
    counts: list[int] = [0]

    def executed(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(by):
            counts[-1] += cursor.rowcount

    def committed(_: Any) -> None:
        counts.append(0)

    event.listen(engine, "after_cursor_execute", executed)
    event.listen(engine, "commit", committed)
    yield counts
    event.remove(engine, "after_cursor_execute", executed)
    event.remove(engine, "commit", committed)


def after_the_next_statement(ledger: Ledger, work: Callable[[Ledger], Awaitable[object]]) -> None:
    """Right after the next statement of `ledger`, on PostgreSQL, run `work` to its end in another thread."""

    async def elsewhere() -> None:
        other = open_ledger(ledger.engine.url.render_as_string(hide_password=False), ring=ring)
        await work(other)
        await other.close()

    @event.listens_for(ledger.engine.sync_engine, "after_cursor_execute", once=True)
    def in_between(*_: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        thread = Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        thread.join()


async def until_one_waits_for_a_lock(ledger: Ledger) -> None:
    """On PostgreSQL: wait until a transaction of this database waits for another."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not await ledger.read(lambda connection: connection.scalar(waiting)):
        await asyncio.sleep(0.01)


async def lost(ledger: Ledger, types: Mapping[str, NotificationType] | None = None) -> list[Reclaimed]:
    """Let every lease lapse, and a reaper reclaim the batches."""
    await change(ledger, batches, leased_until=LONG_AGO)
    found = [
        await reclaim(ledger, Lapsed(row.id, LONG_AGO), types or {"note": NOTE, "digest": DIGEST})
        for row in await rows(ledger, batches)
    ]
    return [one for one in found if one]
