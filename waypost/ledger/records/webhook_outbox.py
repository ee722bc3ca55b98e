"""The outbox of webhooks: events are claimed by one process at a time and deleted once delivered.

A claim is a lease: it moves `due_at` forward, and events not settled by then are due again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import attempts, notifications, tags, webhook_events, webhooks
from waypost.ledger.records.installation import require_key
from waypost.ledger.records.webhooks import Webhook, webhook
from waypost.system.clock import now

LIFETIME = timedelta(days=3)
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """A new state of a notification, and when. tries: how many deliveries of the event failed.
    template_version: of the templates of the notification's last attempt; None without any."""

    id: int
    notification_id: UUID
    type: str
    state: str
    reason: str
    at: datetime
    due_at: datetime
    tries: int
    tags: tuple[str, ...] = ()
    template_version: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Events of one webhook, the oldest first, leased to this process until `until`."""

    webhook: Webhook
    events: Sequence[Event]
    until: datetime


@dataclass(frozen=True, slots=True)
class Again:
    """An event to deliver again at `due_at`. tries: how many deliveries failed so far."""

    id: int
    due_at: datetime
    tries: int


async def waiting(ledger: Ledger) -> list[UUID]:
    """The webhooks with due events: one index lookup per webhook."""
    table = webhook_events
    due = sa.exists().where(table.c.webhook_id == webhooks.c.id, table.c.due_at <= now())
    wanted = sa.select(webhooks.c.id).where(webhooks.c.gone_at.is_(None), due)
    found = await ledger.read(lambda connection: tolerant.each(connection, wanted, [webhooks.c.id], _id))
    return found.good


def _id(row: sa.Row[Any]) -> UUID:
    return row.id


async def claim(ledger: Ledger, secret_key: bytes, id: UUID, most: int, lease: timedelta) -> Claim | None:
    """Claim up to `most` due events of a webhook; None when none is due. Concurrent callers get different
    events. secret_key: the key that will sign them. Raises OtherKey."""

    def work(connection: sa.Connection) -> Claim | None:
        require_key(connection, secret_key)
        told = sa.select(webhooks).where(webhooks.c.id == id, webhooks.c.gone_at.is_(None))
        found = connection.execute(told).one_or_none()
        events = [] if found is None else _due(connection, id, most)
        if not events:
            return None
        until = now() + lease
        ids = [event.id for event in events]
        leased = sa.update(webhook_events).where(webhook_events.c.id.in_(ids)).values(due_at=until)
        connection.execute(leased)
        return Claim(webhook(found), events, until)

    return await ledger.write(work)


def _due(connection: sa.Connection, id: UUID, most: int) -> list[Event]:
    """Events that cannot be read are deleted: they would be due for ever, and come before all others."""
    table = webhook_events
    wanted = (
        sa.select(table)
        .where(table.c.webhook_id == id, table.c.due_at <= now())
        .order_by(table.c.due_at, table.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    with tolerant.forgiving(connection):  # unreadable text must not block other events
        rows, damaged = tolerant.each(connection, wanted, [table.c.id], _with_tries)
        ids = [row.notification_id for row in rows]
        tagged, versions = _tags(connection, ids), _template_versions(connection, ids)
    for one in damaged:
        connection.execute(sa.delete(table).where(one.is_it))
    return [
        Event(
            id=row.id,
            notification_id=row.notification_id,
            type=tolerant.text(row.type),
            state=tolerant.text(row.state),
            reason=tolerant.text(row.reason),
            at=row.at,
            due_at=row.due_at,
            tries=row.tries,
            tags=tuple(tagged.get(row.notification_id, ())),
            template_version=versions.get(row.notification_id),
        )
        for row in rows
    ]


def _with_tries(row: Any) -> Any:
    if not isinstance(row.tries, int):
        raise TypeError("tries")
    return row


def _tags(connection: sa.Connection, ids: Sequence[UUID]) -> Mapping[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    if ids:
        wanted = sa.select(tags).where(in_ids(tags.c.notification_id, ids)).order_by(tags.c.tag)
        for row in connection.execute(wanted):
            found.setdefault(row.notification_id, []).append(tolerant.text(row.tag))
    return found


def _template_versions(connection: sa.Connection, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Of the last attempt of each notification, which for an item of a digest is the digest's."""
    if not ids:
        return {}
    carrier = sa.func.coalesce(notifications.c.digest_id, notifications.c.id)
    wanted = (
        sa.select(*tolerant.raw(notifications.c.id, attempts.c.template_version))
        .join(attempts, attempts.c.notification_id == carrier)
        .where(in_ids(notifications.c.id, ids), attempts.c.template_version.is_not(None))
        .order_by(attempts.c.id)  # in the order they were made
    )
    found = ((tolerant.identity(row.id), row.template_version) for row in connection.execute(wanted))
    return {id: tolerant.text(version) for id, version in found if isinstance(id, UUID)}


async def settle(ledger: Ledger, claim: Claim, over: Iterable[int], again: Sequence[Again]) -> None:
    """Delete the events `over`, given by id, and defer those in `again`. An event that another process
    claimed after the lease lapsed is left to that process; SQLite may even have reused a row's id by then."""
    table, ids = webhook_events, list(over)
    ours = table.c.due_at == claim.until
    put_off = (
        sa.update(table)
        .where(table.c.id == sa.bindparam("_id"), ours)
        .values(due_at=sa.bindparam("_due"), tries=sa.bindparam("_tries"))
    )
    rows = [{"_id": one.id, "_due": one.due_at, "_tries": one.tries} for one in again]

    def work(connection: sa.Connection) -> None:
        if ids:
            connection.execute(sa.delete(table).where(table.c.id.in_(ids), ours))
        if rows:
            connection.execute(put_off, rows)

    await ledger.write(work)


async def forget(ledger: Ledger, lifetime: timedelta = LIFETIME) -> Counter[UUID]:
    """Delete the events older than `lifetime`, and those whose webhook is gone. Returns how many of each
    webhook."""
    table = webhook_events
    columns = sa.select(table.c.id, *tolerant.raw(table.c.webhook_id))
    forgotten: Counter[UUID] = Counter()
    for wanted in (
        columns.where(table.c.at < now() - lifetime),
        columns.where(table.c.webhook_id.in_(_without_webhook())),
    ):
        forgotten += await _take_out(ledger, wanted.limit(AT_ONCE))
    return forgotten


async def _take_out(ledger: Ledger, wanted: sa.Select[Any]) -> Counter[UUID]:
    taken: Counter[UUID] = Counter()
    # Found outside of the write, to keep it short.
    while rows := await ledger.read(partial(tolerant.read, wanted=wanted)):
        gone = sa.delete(webhook_events).where(webhook_events.c.id.in_([row.id for row in rows]))
        await ledger.write(lambda connection, gone=gone: connection.execute(gone))
        taken.update(id for row in rows if isinstance(id := tolerant.identity(row.webhook_id), UUID))
    return taken


def _without_webhook() -> sa.Select[tuple[UUID]]:
    """Webhook ids of events whose webhook is gone: one index lookup per id, however many events it has."""
    id = webhook_events.c.webhook_id
    first = sa.select(id).order_by(id).limit(1).scalar_subquery()
    seen = sa.select(first.label("id")).cte("seen", recursive=True)
    following = sa.select(id).where(id > seen.c.id).order_by(id).limit(1).scalar_subquery()
    seen = seen.union_all(sa.select(following).where(seen.c.id.is_not(None)))
    lives = sa.exists().where(webhooks.c.id == seen.c.id, webhooks.c.gone_at.is_(None))
    return sa.select(seen.c.id).where(seen.c.id.is_not(None), ~lives)
