"""Whether the ledger takes what a post writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import api_keys, idempotency_keys, notifications, recipients
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id

MARK = "waypost:trial"  # the type and the recipient of what is written; no type can have that name


async def write_as_a_post_does(ledger: Ledger) -> None:
    """Write what a post writes, delete it again and commit. Raises what a post would meet."""
    await ledger.write(lambda connection: _write(connection, now()))


def _write(connection: sa.Connection, moment: datetime) -> None:
    """In one transaction, so that nothing of it is ever seen: no dispatcher claims it, no webhook tells of
    it."""
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
