"""Lines on a notification's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.tables import events
from waypost.system.clock import now
from waypost.system.ids import new_id


def note_events(
    connection: sa.Connection, ids: Sequence[UUID], what: str, detail: str, batch: UUID | None = None
) -> None:
    """Put a line on the timeline of each notification."""
    moment = now()
    rows = [
        {
            "id": new_id(),
            "notification_id": id,
            "at": moment,
            "what": what,
            "detail": detail,
            "batch_id": batch,
        }
        for id in ids
    ]
    if rows:
        connection.execute(sa.insert(events), rows)
