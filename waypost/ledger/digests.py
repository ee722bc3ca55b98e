"""Bundling what was held for a digest: one notification a recipient, in the same transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from uuid_utils.compat import uuid7

from waypost.clock import now
from waypost.ledger.engine import Ledger
from waypost.ledger.tables import notifications
from waypost.notification_type import NotificationType
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


async def bundle(ledger: Ledger, digest: NotificationType, of: str, compose: Compose, batch: UUID) -> int:
    """Turn every `of` held for a digest into one `digest` a recipient, reserved under `batch`;
    answers how many.

    compose: makes the digest's facts (as JSON) from one recipient's items, oldest first.
    Window and notification are one transaction per 200 recipients: a crash leaves items either held
    or in a digest that is accepted, and two runs at once cannot both take an item.
    """
    made = 0
    while moved := await _bundle_some(ledger, digest, of, compose, batch):
        made += moved
    return made


async def _bundle_some(
    ledger: Ledger, digest: NotificationType, of: str, compose: Compose, batch: UUID
) -> int:
    moment = now()
    table = notifications
    waiting = (
        table.c.type == of,
        table.c.state == State.HELD,
        table.c.reason == "digest",
        table.c.due_at <= moment,
    )
    late = {"state": State.EXPIRED, "finished_at": moment, "reason": "expired before its digest"}
    async with ledger.write() as connection:
        await connection.execute(sa.update(table).where(*waiting, table.c.expires_at <= moment).values(late))
        some = sa.select(table.c.recipient_key).where(*waiting).distinct().limit(RECIPIENTS_AT_ONCE)
        recipients = list(await connection.scalars(some))
        if not recipients:
            return 0
        taken = await connection.execute(
            sa.update(table)
            .where(*waiting, table.c.recipient_key.in_(recipients))
            .values(state=State.CLAIMED, reason="")
            .returning(
                table.c.id,
                table.c.recipient_key,
                table.c.data,
                table.c.occurrences,
                table.c.accepted_at,
            )
        )
        items: defaultdict[str, list[HeldItem]] = defaultdict(list)
        for row in taken:
            items[row.recipient_key].append(HeldItem(row.id, row.data, row.occurrences, row.accepted_at))
        reserved = {"batch_id": batch, "leased_until": moment + ledger.lease}
        rows = [
            {**_digest_row(digest, key, held, compose, moment), **reserved} for key, held in items.items()
        ]
        if rows:
            await connection.execute(sa.insert(table), rows)
        for row, held in zip(rows, items.values(), strict=True):
            await connection.execute(
                sa.update(table).where(table.c.id.in_([item.id for item in held])).values(digest_id=row["id"])
            )
    return len(recipients)


def _digest_row(
    digest: NotificationType, key: str, held: list[HeldItem], compose: Compose, moment: datetime
) -> dict[str, Any]:
    held.sort(key=lambda item: item.accepted_at)
    return {
        "id": uuid7(),
        "type": digest.name,
        "recipient_key": key,
        "data": compose(held, moment),
        "state": State.ACCEPTED,
        "occurrences": len(held),
        "accepted_at": moment,
        "due_at": moment,
        "expires_at": moment + digest.deadline,
    }
