"""What was put off without an attempt: counted like one, so that its waits grow, and told on its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ids import new_id
from waypost.ledger.engine import Ledger
from waypost.ledger.many import among
from waypost.ledger.tables import events, notifications
from waypost.states import State


async def count_wait(ledger: Ledger, batch: UUID, ids: Sequence[UUID], reason: str) -> None:
    """Count a try for those of `ids` that the batch deferred. Should the answer to its commit be lost it is
    counted twice, which makes a wait longer and harms nothing."""

    def work(connection: sa.Connection) -> None:
        counted = (
            sa.update(notifications)
            .where(
                among(notifications.c.id, ids),
                notifications.c.batch_id == batch,
                notifications.c.state == State.DEFERRED,
            )
            .values(tries=notifications.c.tries + 1)
            .returning(notifications.c.id, notifications.c.tries)
        )
        noted = [_put_off(row, batch, reason) for row in connection.execute(counted)]
        if noted:
            connection.execute(sa.insert(events), noted)

    await ledger.persist(work)


def _put_off(row: sa.Row[tuple[UUID, int]], batch: UUID, reason: str) -> dict[str, object]:
    return {
        "id": new_id(),
        "notification_id": row.id,
        "at": now(),
        "what": f"attempt {row.tries} put off",
        "detail": reason,
        "batch_id": batch,
    }
