"""Retention: the only deletion of notifications, once they ended longer ago than the settings say.

It deletes in steps; see steps.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.steps import Pace, in_steps, written_bytes
from waypost.ledger.database.tables import (
    ENDED,
    IN_HAND,
    NOT_IN_HAND,
    attempts,
    batches,
    events,
    groups,
    idempotency_keys,
    notifications,
    recipients,
    released_holds,
    tags,
    verifications,
)
from waypost.ledger.records import recipient_addresses, webhook_outbox
from waypost.ledger.records.recipients import Who
from waypost.system import clock


async def prune(ledger: Ledger, days: float) -> int:
    """Delete the notifications that ended more than `days` ago, with all that belongs to them. Returns how
    many. Open notifications stay, however old. Then delete the recipients that have no notification left and
    were not named or changed for `days`."""
    before = clock.now() - timedelta(days=days)
    pruned = await in_steps(ledger, partial(_old, ledger.is_postgres, before), partial(_delete, before))
    await in_steps(ledger, partial(_told_batches, before), _delete_batches)
    await _prune_recipients(ledger, before)
    over = sa.delete(released_holds).where(released_holds.c.released_at < before)
    await ledger.write(lambda connection: connection.execute(over))
    # Where no gateway runs, nothing else does this.
    await webhook_outbox.forget(ledger, min(timedelta(days=days), webhook_outbox.LIFETIME))
    return pruned


async def _prune_recipients(ledger: Ledger, before: datetime) -> None:
    """Walk through the recipients by their key, as many at a time as can be deleted quickly."""
    pace, last = Pace(), ("", "")
    while page := await ledger.read(partial(_recipients_after, last, before, pace.rows)):
        unused = [(row.client, row.key) for row in page if row.unused]
        async with pace.transaction():
            if unused:
                await ledger.write(partial(_delete_recipients, unused, before))
        if (page[-1].client, page[-1].key) == last:
            return  # text that is not UTF-8: it is read as another text
        last = page[-1].client, page[-1].key


def _recipients_after(
    last: Who, before: datetime, rows: int, connection: sa.Connection
) -> Sequence[sa.Row[Any]]:
    table = recipients
    after = sa.tuple_(table.c.client, table.c.key) > sa.tuple_(*map(sa.literal, last))
    unused = sa.case((table.c.updated_at < before, _without_notification()), else_=sa.false())
    columns = *tolerant.raw(table.c.client, table.c.key), unused.label("unused")
    wanted = sa.select(*columns).where(after).order_by(table.c.client, table.c.key)
    return tolerant.read(connection, wanted.limit(rows))


def _without_notification() -> sa.ColumnElement[bool]:
    """Two index lookups, as one lookup cannot match a client or NULL. PostgreSQL's index has no claimed rows:
    these are listed."""
    table = notifications.c
    theirs = table.recipient_key == recipients.c.key, NOT_IN_HAND
    of_client = sa.exists().where(table.client == recipients.c.client, *theirs)
    of_none = sa.exists().where(table.client.is_(None), *theirs)
    claimed = sa.select(sa.func.coalesce(table.client, ""), table.recipient_key).where(IN_HAND)
    return sa.and_(
        ~of_client,
        sa.or_(recipients.c.client != "", ~of_none),
        sa.tuple_(recipients.c.client, recipients.c.key).not_in(claimed),
    )


def _delete_recipients(unused: Sequence[Who], before: datetime, connection: sa.Connection) -> None:
    """Delete those of `unused` that still are unused: a request that names one sets updated_at."""
    still = recipients.c.updated_at < before, _without_notification()
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for client, key in unused:
        keys[client].append(key)
    for client, mine in keys.items():
        theirs = recipients.c.client == client, recipients.c.key.in_(mine)
        connection.execute(sa.delete(recipients).where(*theirs, *still))
        recipient_addresses.forget_without_recipient(connection, client, mine)


def _ended(before: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(ENDED, notifications.c.finished_at < before)


def _old(is_postgres: bool, before: datetime, rows: int) -> sa.Select[Any]:
    """Old notifications, the oldest first. A digest goes after its items, which point to it."""
    item = notifications.alias("item")
    has_items = sa.exists().where(item.c.digest_id == notifications.c.id)
    return (
        sa.select(notifications.c.id, written_bytes(is_postgres))
        .where(_ended(before), ~has_items)
        .order_by(notifications.c.finished_at)
        .limit(rows)
    )


def _delete(before: datetime, connection: sa.Connection, ids: Sequence[Any]) -> int:
    """Delete those of `ids` that are still old: a person may have retried some since they were found."""
    still = sa.select(notifications.c.id).where(in_ids(notifications.c.id, ids), _ended(before))
    ours = list(connection.scalars(still.with_for_update(skip_locked=True)))
    if ours:
        for part in (attempts, events, verifications, idempotency_keys, groups, tags):
            connection.execute(sa.delete(part).where(in_ids(part.c.notification_id, ours)))
        connection.execute(sa.delete(notifications).where(in_ids(notifications.c.id, ours)))
    return len(ours)


def _told_batches(before: datetime, rows: int) -> sa.Select[Any]:
    old = sa.text("told_at IS NOT NULL"), batches.c.ended_at < before
    return sa.select(*tolerant.raw(batches.c.id)).where(*old).order_by(batches.c.ended_at).limit(rows)


def _delete_batches(connection: sa.Connection, ids: Sequence[Any]) -> int:
    return connection.execute(sa.delete(batches).where(in_ids(batches.c.id, ids))).rowcount
