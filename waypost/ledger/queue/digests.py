"""Bundling notifications held for a digest into one notification per recipient, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import as_json, in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.notify import announce_work
from waypost.ledger.database.tables import FOR_DIGEST, batches, notifications
from waypost.ledger.queue.batches import announced, keep_open, open_batch
from waypost.ledger.queue.claims import CLAIM_LIMIT
from waypost.ledger.records.recipients import Who, rows_of
from waypost.mail.address import folded
from waypost.model.notification import HeldItem
from waypost.model.notification_type import Category, NotificationType
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed, isolated

RECIPIENTS_AT_ONCE = 200
EXPIRED_AT_ONCE = 1000


Compose = Callable[[Sequence[HeldItem], datetime], dict[str, Any]]


async def bundle(
    ledger: Ledger,
    digest: NotificationType,
    of: str,
    compose: Compose,
    flow_run_id: UUID | None = None,
) -> tuple[UUID, int]:
    """Bundle the `of` notifications held for a digest into one `digest` per recipient. Returns the batch that
    claims the first 500 digests (the rest go to other runs), and how many were made. Digests made after that
    batch has ended, because its run was considered lost, go to other runs too.

    The window ends when this is called: notifications accepted later wait for the next digest, so each
    recipient gets one. The same id of two clients is two recipients. Items that name another address are
    bundled for that address. compose: makes the digest's facts (as JSON) from one recipient's items, oldest
    first. One transaction per 200 recipients takes the items and makes the digests: a crash leaves items
    either held or in an accepted digest, and two concurrent runs cannot both take an item. Raises ValueError
    for a type that is not a digest: its items would not share its end.
    """
    if digest.category is not Category.DIGEST:
        raise ValueError(f"{digest.name} bundles {of}: declare it with category=Category.DIGEST")

    def make_batch(connection: sa.Connection) -> UUID:
        known = announced(connection, flow_run_id)
        return known or open_batch(connection, ledger, digest.name, digest.lane, 0, flow_run_id)

    batch = await ledger.write(make_batch)
    window = _Window(digest, of, compose, until=now())

    def some(connection: sa.Connection, after: str, room: int) -> tuple[list[str], int]:
        mine = keep_open(connection, ledger, batch)
        return _bundle_some(connection, window, after, batch, room if mine else 0)

    made, last = 0, ""
    while True:
        recipients, more = await ledger.write(partial(some, after=last, room=CLAIM_LIMIT - made))
        if not recipients:
            return batch, made
        made, last = made + more, recipients[-1]


@dataclass(frozen=True, slots=True)
class _Window:
    """What one call of `bundle` takes: items that were accepted, and are due, by `until`."""

    digest: NotificationType
    of: str
    compose: Compose
    until: datetime


def _bundle_some(
    connection: sa.Connection, window: _Window, after: str, batch: UUID, room: int
) -> tuple[list[str], int]:
    """Bundle for the next recipients whose key comes after `after`. Returns their keys, in order, and how
    many digests were made."""
    moment = now()
    table = notifications
    waiting = (
        table.c.type == window.of,
        FOR_DIGEST,
        table.c.due_at <= window.until,
        table.c.accepted_at <= window.until,
        table.c.recipient_key > after,
    )
    _expire(connection, moment, *waiting)
    some = sa.select(table.c.recipient_key).where(*waiting).distinct()
    recipients = list(connection.scalars(some.order_by(table.c.recipient_key).limit(RECIPIENTS_AT_ONCE)))
    if not recipients:
        return [], 0
    bundles = _take_items(connection, *waiting, table.c.recipient_key.in_(recipients))
    made = _composed(connection, window, bundles, moment)
    rows = [row for row, _ in made]
    for number, row in enumerate(rows):
        row.update(_claimed(number < room, batch))
    if rows:
        connection.execute(sa.insert(table), rows)
        claimed = sum(number < room for number in range(len(rows)))
        connection.execute(
            sa.update(batches).where(batches.c.id == batch).values(size=batches.c.size + claimed)
        )
        if claimed < len(rows):
            announce_work(connection)
    for row, bundle in made:
        connection.execute(sa.update(table).where(in_ids(table.c.id, bundle.ids)).values(digest_id=row["id"]))
    return recipients, len(rows)


def _expire(connection: sa.Connection, moment: datetime, *waiting: sa.ColumnElement[bool]) -> None:
    late = {"state": State.EXPIRED, "finished_at": moment, "reason": "expired before its digest"}
    connection.execute(
        sa.update(notifications).where(*waiting, notifications.c.expires_at <= moment).values(late)
    )


async def expire(ledger: Ledger) -> None:
    """Expire items held past their deadline, even if no digest runs: its schedule may be paused."""
    table = notifications
    late = sa.select(table.c.id).where(FOR_DIGEST, table.c.expires_at <= now()).limit(EXPIRED_AT_ONCE)
    while ids := await ledger.read(lambda connection: connection.scalars(late).all()):
        await ledger.write(lambda connection: _expire(connection, now(), FOR_DIGEST, in_ids(table.c.id, ids)))


def _composed(
    connection: sa.Connection, window: _Window, bundles: Sequence[_Bundle], moment: datetime
) -> list[tuple[dict[str, Any], _Bundle]]:
    """One digest per bundle. If composing a digest fails, only the items of its bundle fail."""
    made: list[tuple[dict[str, Any], _Bundle]] = []
    for bundle in bundles:
        try:
            with isolated("composing a digest", item=bundle.ids[0]):
                row = _digest_row(window, bundle, moment)
                as_json(row["data"])
                made.append((row, bundle))
        except ItemFailed as failed:
            values = {"state": State.FAILED, "reason": str(failed), "finished_at": moment}
            mine = in_ids(notifications.c.id, bundle.ids)
            connection.execute(sa.update(notifications).where(mine).values(values))
    return made


@dataclass(slots=True)
class _Bundle:
    """The items of one digest: those that go to the same recipient at the same addresses, the oldest first.
    named: what their requests said of the recipient; the latest request wins."""

    who: Who
    named: dict[str, str] | None = None
    items: list[HeldItem] = field(default_factory=list[HeldItem])

    @property
    def ids(self) -> list[UUID]:
        return [item.id for item in self.items]


def _take_items(connection: sa.Connection, *waiting: sa.ColumnElement[bool]) -> list[_Bundle]:
    table = notifications
    taken = connection.execute(
        sa.update(table)
        .where(*waiting)
        .values(state=State.CLAIMED, reason="")
        .returning(
            table.c.id, table.c.client, table.c.recipient_key, table.c.named,
            table.c.data, table.c.occurrences, table.c.accepted_at,
        )
    ).all()  # fmt: skip
    known = rows_of(connection, {_who(row) for row in taken})
    bundles: dict[tuple[Any, ...], _Bundle] = {}
    for row in sorted(taken, key=lambda row: (row.accepted_at, row.id)):
        who = _who(row)
        bundle = bundles.setdefault((who, *_addresses(row.named, known.get(who))), _Bundle(who))
        if row.named is not None:
            bundle.named = {**(bundle.named or {}), **row.named}
        bundle.items.append(HeldItem(row.id, row.data, row.occurrences, row.accepted_at))
    return list(bundles.values())


def _who(row: Any) -> Who:
    return row.client or "", row.recipient_key


def _addresses(named: dict[str, str] | None, known: Any) -> tuple[str | None, ...]:
    """The addresses by which items are bundled; none for an item whose recipient was forgotten."""
    if named == {}:
        return ()
    found = ((named or {}).get(name) or getattr(known, name, None) for name in ("email", "phone"))
    return tuple(address and folded(address) for address in found)


def _claimed(mine: bool, batch: UUID) -> dict[str, Any]:
    return (
        {"state": State.CLAIMED, "batch_id": batch} if mine else {"state": State.ACCEPTED, "batch_id": None}
    )


def _digest_row(window: _Window, bundle: _Bundle, moment: datetime) -> dict[str, Any]:
    digest, held, (client, key) = window.digest, bundle.items, bundle.who
    return {
        "id": new_id(),
        "type": digest.name,
        "priority": digest.lane,
        "recipient_key": key,
        "client": client or None,
        "named": bundle.named,
        "data": window.compose(held, window.until),
        "occurrences": len(held),
        "accepted_at": moment,
        "due_at": moment,
        "expires_at": moment + digest.deadline,
    }
