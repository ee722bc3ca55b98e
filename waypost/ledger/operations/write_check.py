"""Checks that the ledger stores what a POST writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import api_keys, idempotency_keys, notifications, recipients
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id

MARK = "waypost:trial"  # type and recipient of the trial rows; no real type can have this name


async def write_as_a_post_does(ledger: Ledger) -> None:
    """Write what a POST writes, delete it again and commit. Raises the errors that a POST would meet."""
    await ledger.write(lambda connection: _write(connection, now()))


def _write(connection: sa.Connection, moment: datetime) -> None:
    """In one transaction, so that the rows are never visible: no dispatcher claims them, no webhook reports
    them."""
    id, key = new_id(), f"{MARK}:{new_id()}"
    connection.execute(sa.select(api_keys.c.id).limit(1))
    connection.execute(sa.insert(recipients).values(client="", key=key, updated_at=moment))
    connection.execute(sa.insert(notifications).values(id=id, recipient_key=key, **_over(moment)))
    connection.execute(
        sa.insert(idempotency_keys).values(
            client="", key=key, notification_id=id, body_hash=b"", began=State.ACCEPTED, created_at=moment
        )
    )
    for table, its_own in (
        (idempotency_keys, idempotency_keys.c.key == key),
        (notifications, notifications.c.id == id),
        (recipients, recipients.c.key == key),
    ):
        connection.execute(sa.delete(table).where(its_own))


def _over(moment: datetime) -> dict[str, Any]:
    """The columns of a notification that has ended."""
    times = {"accepted_at": moment, "due_at": moment, "expires_at": moment, "finished_at": moment}
    return {"type": MARK, "data": {}, "state": State.CANCELLED, "channels": [], **times}
