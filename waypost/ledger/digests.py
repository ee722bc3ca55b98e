"""Bundling what was held for a digest: one notification a recipient, in the same transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ids import new_id
from waypost.ledger.batches import announced, open_batch
from waypost.ledger.claims import CLAIM_LIMIT
from waypost.ledger.engine import Ledger
from waypost.ledger.many import among
from waypost.ledger.notices import announce_work
from waypost.ledger.tables import HELD, batches, notifications
from waypost.notification_type import Category, NotificationType
from waypost.states import State

RECIPIENTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class HeldItem:
    """One notification waiting for a digest."""

    id: UUID
    data: dict[str, Any]
    count: int
    accepted_at: datetime


Compose = Callable[[Sequence[HeldItem], datetime], dict[str, Any]]


async def bundle(
    ledger: Ledger,
    digest: NotificationType,
    of: str,
    compose: Compose,
    flow_run_id: UUID | None = None,
) -> tuple[UUID, int]:
    """Turn every `of` held for a digest into one `digest` a recipient. Answers the batch the first 500
    of them are claimed under (the rest goes to other runs), and how many were made. What is made after
    that batch has ended, because its run was taken for lost, goes to other runs too.

    compose: makes the digest's facts (as JSON) from one recipient's items, oldest first.
    Window and notification are one transaction per 200 recipients: a crash leaves items either held
    or in a digest that is accepted, and two runs at once cannot both take an item. Raises ValueError for a
    type that is no digest: its items would not share its end.
    """
    if digest.category is not Category.DIGEST:
        raise ValueError(f"{digest.name} bundles {of}: declare it with category=Category.DIGEST")

    def make_batch(connection: sa.Connection) -> UUID:
        known = announced(connection, flow_run_id)
        return known or open_batch(connection, ledger, digest.name, digest.lane, 0, flow_run_id)

    batch = await ledger.write(make_batch)
    made = 0
    while True:
        room = CLAIM_LIMIT - made

        def some(connection: sa.Connection, room: int = room) -> int:
            mine = _still_open(connection, ledger, batch)
            return _bundle_some(connection, digest, of, compose, batch, room if mine else 0)

        moved = await ledger.write(some)
        if not moved:
            return batch, made
        made += moved


def _still_open(connection: sa.Connection, ledger: Ledger, batch: UUID) -> bool:
    """Lock the batch, before any notification as everybody does, and renew its lease."""
    renewed = (
        sa.update(batches)
        .where(batches.c.id == batch, batches.c.ended_at.is_(None))
        .values(leased_until=now() + ledger.lease)
    )
    return connection.execute(renewed).rowcount > 0


def _bundle_some(
    connection: sa.Connection, digest: NotificationType, of: str, compose: Compose, batch: UUID, room: int
) -> int:
    moment = now()
    table = notifications
    waiting = (
        table.c.type == of,
        HELD,
        table.c.reason == "digest",
        table.c.due_at <= moment,
    )
    late = {"state": State.EXPIRED, "finished_at": moment, "reason": "expired before its digest"}
    connection.execute(sa.update(table).where(*waiting, table.c.expires_at <= moment).values(late))
    some = sa.select(table.c.recipient_key).where(*waiting).distinct().limit(RECIPIENTS_AT_ONCE)
    recipients = list(connection.scalars(some))
    if not recipients:
        return 0
    items = _take_items(connection, *waiting, table.c.recipient_key.in_(recipients))
    rows = [
        {**_digest_row(digest, key, held, compose, moment), **_claimed(number < room, batch)}
        for number, (key, held) in enumerate(items.items())
    ]
    if rows:
        connection.execute(sa.insert(table), rows)
        claimed = sum(number < room for number in range(len(rows)))
        connection.execute(
            sa.update(batches).where(batches.c.id == batch).values(size=batches.c.size + claimed)
        )
        if claimed < len(rows):
            announce_work(connection)
    for row, held in zip(rows, items.values(), strict=True):
        connection.execute(
            sa.update(table).where(among(table.c.id, [item.id for item in held])).values(digest_id=row["id"])
        )
    return len(recipients)


def _take_items(connection: sa.Connection, *waiting: sa.ColumnElement[bool]) -> dict[str, list[HeldItem]]:
    table = notifications
    taken = connection.execute(
        sa.update(table)
        .where(*waiting)
        .values(state=State.CLAIMED, reason="")
        .returning(table.c.id, table.c.recipient_key, table.c.data, table.c.occurrences, table.c.accepted_at)
    )
    items: defaultdict[str, list[HeldItem]] = defaultdict(list)
    for row in taken:
        items[row.recipient_key].append(HeldItem(row.id, row.data, row.occurrences, row.accepted_at))
    return items


def _claimed(mine: bool, batch: UUID) -> dict[str, Any]:
    return (
        {"state": State.CLAIMED, "batch_id": batch} if mine else {"state": State.ACCEPTED, "batch_id": None}
    )


def _digest_row(
    digest: NotificationType, key: str, held: list[HeldItem], compose: Compose, moment: datetime
) -> dict[str, Any]:
    held.sort(key=lambda item: item.accepted_at)
    return {
        "id": new_id(),
        "type": digest.name,
        "priority": digest.lane,
        "recipient_key": key,
        "data": compose(held, moment),
        "occurrences": len(held),
        "accepted_at": moment,
        "due_at": moment,
        "expires_at": moment + digest.deadline,
    }
