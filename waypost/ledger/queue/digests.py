"""Bundling notifications held for a digest into one notification per recipient, in steps.

A plan of who gets which items is read first. Then each step reads a few items, composes their digests, and
stores all of it in one short transaction. A crash leaves items either held or in an accepted digest. Items
that somebody else changes meanwhile are read again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import as_json, in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.steps import Pace, in_steps, portions, written_bytes
from waypost.ledger.database.tables import FOR_DIGEST, batches, notifications
from waypost.ledger.queue import damaged_rows
from waypost.ledger.queue.batches import announced, keep_open, open_batch
from waypost.ledger.queue.claims import CLAIM_LIMIT
from waypost.ledger.queue.digest_plan import (
    FETCHED_AT_ONCE,
    Compose,
    Planned,
    Window,
    bundled_with,
    bytes_of,
    plans,
    recipient_of,
    steps,
)
from waypost.ledger.records.recipients import FORGOTTEN, Who, addresses_of
from waypost.model.notification import HeldItem
from waypost.model.notification_type import NotificationType
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed, isolated

# FOR_DIGEST of rows that are found by id: written so that no other index matches.
_STILL_HELD: sa.ColumnElement[bool] = sa.literal_column(
    "coalesce(state, '') = 'held' AND coalesce(reason, '') = 'digest'"
)

READ_BYTES_AT_ONCE = 1024 * 1024  # of data that is parsed without a pause, on PostgreSQL's event loop


async def bundle(
    ledger: Ledger,
    digest: NotificationType,
    of: str,
    compose: Compose,
    flow_run_id: UUID | None = None,
) -> tuple[UUID, int]:
    """Bundle the `of` notifications held for a digest into one `digest` per recipient and brand. Returns the
    batch that claims the first 500 digests (the rest go to other runs), and how many were made. Digests made
    after that batch has ended, because its run was considered lost, go to other runs too.

    The window ends when this is called: notifications accepted later wait for the next digest, so each
    recipient gets one for each brand. Items beyond MOST_ITEMS or MOST_BYTES go into further digests for
    the recipient.
    The same id of two clients is two recipients. Items that name another address are bundled for that
    address. compose: makes the digest's facts (as JSON) from its items, oldest first. Each transaction takes
    the items of whole digests: a crash leaves items either held or in an accepted digest, and two concurrent
    runs cannot both take an item. Raises ValueError for a type that is not a digest: its items would not
    share its end.
    """
    if not digest.digest:
        raise ValueError(f"{digest.name} bundles {of}: declare it with digest=True")

    def make_batch(connection: sa.Connection) -> UUID:
        known = announced(connection, flow_run_id)
        return known or open_batch(connection, ledger, digest.name, digest.lane, 0, flow_run_id)

    batch = await ledger.write(make_batch)
    window = Window(digest, of, compose, until=now())
    await expire(ledger)
    made = 0
    while True:
        try:
            async for more in _bundle_all(ledger, window, batch, made):
                made += more
            return batch, made
        except (*tolerant.Unreadable, OperationalError) as error:
            if not tolerant.is_unreadable(error) or not await ledger.write(partial(_fail_unreadable, window)):
                raise


async def _bundle_all(ledger: Ledger, window: Window, batch: UUID, made: int) -> AsyncGenerator[int]:
    """Make all digests; yields how many each step made. made: how many there are already."""
    pace, room = Pace(), CLAIM_LIMIT - made
    async for plan in plans(ledger, window):
        for items in steps(plan):
            more = await _make(ledger, window, batch, items, room, pace)
            room -= more
            yield more


def _fail_unreadable(window: Window, connection: sa.Connection) -> int:
    """Fail the items whose rows cannot be read. Returns how many."""
    box = sealing.of(connection)

    def read(row: sa.Row[Any]) -> Any:
        return damaged_rows.checked_item(box.row(notifications, row))

    box.check(connection, again=True)  # perhaps it is this process that lacks a key
    wanted = sa.select(*_READ).where(*window.waiting()).with_for_update()
    damaged = tolerant.each(connection, wanted, [notifications.c.id], read).damaged
    damaged_rows.fail_unreadable(connection, damaged)
    return len(damaged)


async def _make(
    ledger: Ledger, window: Window, batch: UUID, items: Sequence[Planned], room: int, pace: Pace
) -> int:
    """Make the digests of those of `items` that still wait, in one transaction. Returns how many.

    room: how many of them `batch` may claim.
    """
    while bundles := await ledger.read(partial(_read_bundles, items)):
        composed = [(_compose(window, bundle), bundle) for bundle in bundles]
        async with pace.transaction():
            made = await ledger.write(partial(_store, ledger, composed, batch, room))
        if made is not None:
            return made
    return 0


def _compose(window: Window, bundle: _Bundle) -> dict[str, Any] | ItemFailed:
    """The row of a digest. If composing fails, only the items of its bundle fail, as do those of a recipient
    who was forgotten."""
    if bundle.named == {}:
        return ItemFailed(FORGOTTEN)
    try:
        with isolated("composing a digest", item=bundle.ids[0]):
            row = _digest_row(window, bundle, now())
            as_json(row["data"])
            return row
    except ItemFailed as failed:
        return failed


Composed = Sequence[tuple[dict[str, Any] | ItemFailed, "_Bundle"]]


def _store(
    ledger: Ledger, composed: Composed, batch: UUID, room: int, connection: sa.Connection
) -> int | None:
    """Returns how many digests were made; None, with nothing done, when their items have changed."""
    if _changed(connection, [bundle for _, bundle in composed]):
        return None
    made = [(row, bundle) for row, bundle in composed if isinstance(row, dict)]
    failed = [(error, bundle) for error, bundle in composed if isinstance(error, ItemFailed)]
    if made:
        room = room if keep_open(connection, ledger, batch) else 0
        _insert(connection, [row for row, _ in made], batch, room)
    for row, bundle in made:
        _set(connection, bundle, {"state": State.CLAIMED, "reason": "", "digest_id": row["id"]})
    for error, bundle in failed:
        _set(connection, bundle, {"state": State.FAILED, "reason": str(error), "finished_at": now()})
    return len(made)


def _set(connection: sa.Connection, bundle: _Bundle, values: dict[str, Any]) -> None:
    mine = in_ids(notifications.c.id, bundle.ids)
    connection.execute(sa.update(notifications).where(mine).values(values))


def _changed(connection: sa.Connection, bundles: Sequence[_Bundle]) -> bool:
    """Lock the items. Returns whether another run took some, a person cancelled some, or a recipient was
    forgotten, since they were read."""
    read = {id: seen for bundle in bundles for id, seen in bundle.seen.items()}
    table = notifications.c
    locked = sa.select(table.id, *_SEEN).where(in_ids(table.id, list(read)), _STILL_HELD).with_for_update()
    return {row.id: (row.recipient_key, row.named) for row in connection.execute(locked)} != read


def _insert(connection: sa.Connection, digests: Sequence[dict[str, Any]], batch: UUID, room: int) -> None:
    """Insert the rows of the digests. `batch` claims the first, as many as it has room for."""
    box = sealing.of(connection)
    rows = [
        box.sealed(notifications, {**row, **_claimed(number < room, batch)})
        for number, row in enumerate(digests)
    ]
    connection.execute(sa.insert(notifications), rows)
    claimed = max(0, min(room, len(rows)))
    connection.execute(sa.update(batches).where(batches.c.id == batch).values(size=batches.c.size + claimed))
    if claimed < len(rows):
        announce_work(connection)


async def expire(ledger: Ledger) -> None:
    """Expire items held past their deadline, even if no digest runs: its schedule may be paused."""
    size = written_bytes(ledger.is_postgres)
    late = FOR_DIGEST, notifications.c.expires_at <= now()
    await in_steps(ledger, sa.select(notifications.c.id, size).where(*late).limit, _expire)


def _expire(connection: sa.Connection, *, ids: Sequence[UUID]) -> int:
    late = {"state": State.EXPIRED, "finished_at": now(), "reason": "expired before its digest"}
    held = in_ids(notifications.c.id, ids), _STILL_HELD
    return connection.execute(sa.update(notifications).where(*held).values(late)).rowcount


@dataclass(slots=True)
class _Bundle:
    """The items of one digest: those of the same brand that go to the same recipient at the same addresses,
    the oldest first. named: what their requests said of the recipient; the latest request wins. seen: of each
    item, what must not change until it is stored, as it is kept."""

    who: Who
    brand: str | None = None
    named: dict[str, str] | None = None
    items: list[HeldItem] = field(default_factory=list[HeldItem])
    seen: dict[UUID, tuple[Any, ...]] = field(default_factory=dict[UUID, tuple[Any, ...]])

    @property
    def ids(self) -> list[UUID]:
        return [item.id for item in self.items]


_SEEN = notifications.c.recipient_key, notifications.c.named
_READ = (
    notifications.c.id,
    notifications.c.client,
    notifications.c.brand,
    *_SEEN,
    notifications.c.data,
    notifications.c.occurrences,
    notifications.c.accepted_at,
)


def _read_bundles(items: Sequence[Planned], connection: sa.Connection) -> list[_Bundle]:
    box, rows, seen = sealing.of(connection), list[Any](), dict[UUID, tuple[Any, ...]]()
    for some in portions(items, bytes_of, most=FETCHED_AT_ONCE, most_bytes=READ_BYTES_AT_ONCE):
        held = in_ids(notifications.c.id, [item.id for item in some]), _STILL_HELD
        for row in connection.execute(sa.select(*_READ).where(*held)).all():
            seen[row.id] = (row.recipient_key, row.named)
            rows.append(damaged_rows.checked_item(box.row(notifications, row)))
    known = addresses_of(connection, {recipient_of(row) for row in rows})
    bundles: dict[tuple[Any, ...], _Bundle] = {}
    for row in sorted(rows, key=lambda row: (row.accepted_at, row.id)):
        bundle = bundles.setdefault(bundled_with(row, known), _Bundle(recipient_of(row), row.brand))
        if row.named is not None:
            bundle.named = {**(bundle.named or {}), **row.named}
        bundle.items.append(HeldItem(row.id, row.data, row.occurrences, row.accepted_at))
        bundle.seen[row.id] = seen[row.id]
    return list(bundles.values())


def _claimed(mine: bool, batch: UUID) -> dict[str, Any]:
    return (
        {"state": State.CLAIMED, "batch_id": batch} if mine else {"state": State.ACCEPTED, "batch_id": None}
    )


def _digest_row(window: Window, bundle: _Bundle, moment: datetime) -> dict[str, Any]:
    digest, held, (client, key) = window.digest, bundle.items, bundle.who
    return {
        "id": new_id(),
        "type": digest.name,
        "priority": digest.lane,
        "recipient_key": key,
        "client": client or None,
        "named": bundle.named,
        "brand": bundle.brand,
        "data": window.compose(held, window.until),
        "occurrences": len(held),
        "accepted_at": moment,
        "due_at": moment,
        "expires_at": moment + digest.deadline,
    }
