"""The one way out of the ledger: what ended long ago, when the settings say how long."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from waypost.clock import now
from waypost.ledger import webhook_events
from waypost.ledger.engine import Ledger
from waypost.ledger.many import among
from waypost.ledger.tables import (
    attempts,
    batches,
    events,
    groups,
    idempotency_keys,
    notifications,
    released_holds,
    tags,
    verifications,
)
from waypost.states import TERMINAL

AT_ONCE = 1000


async def prune(ledger: Ledger, days: float) -> int:
    """Delete the notifications that ended more than `days` ago, with all that belongs to them, a
    thousand a transaction; answers how many. What has not ended stays, however old."""
    before = now() - timedelta(days=days)
    pruned = 0

    def some(connection: sa.Connection) -> int:
        table = notifications
        old = (
            sa.select(table.c.id)
            .where(table.c.state.in_(TERMINAL), table.c.finished_at < before)
            # A digest goes after its items, which point to it.
            .order_by(table.c.digest_id.is_(None), table.c.id)
            .limit(AT_ONCE)
        )
        ids = list(connection.scalars(old))
        carriers = set(
            connection.scalars(sa.select(table.c.digest_id).where(among(table.c.digest_id, ids)).distinct())
        )
        ids = [id for id in ids if id not in carriers]
        if ids:
            for part in (attempts, events, verifications, idempotency_keys, groups, tags):
                connection.execute(sa.delete(part).where(among(part.c.notification_id, ids)))
            connection.execute(sa.delete(table).where(among(table.c.id, ids)))
        return len(ids)

    while gone := await ledger.write(some):
        pruned += gone
    await ledger.write(
        lambda connection: connection.execute(
            sa.delete(batches).where(batches.c.told_at.is_not(None), batches.c.ended_at < before)
        )
    )
    over = sa.delete(released_holds).where(released_holds.c.released_at < before)
    await ledger.write(lambda connection: connection.execute(over))
    # Where no gateway runs, nobody else does; what is left of the notifications above goes too.
    await webhook_events.forget(ledger, min(timedelta(days=days), webhook_events.LIFETIME))
    return pruned
