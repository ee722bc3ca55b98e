"""Lines on a notification's timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.tables import events
from waypost.system.clock import now
from waypost.system.ids import new_id


def note_events(
    connection: sa.Connection, ids: Sequence[UUID], what: str, detail: str, batch: UUID | None = None
) -> None:
    """Put the same line on the timeline of each notification."""
    note_each(connection, what, dict.fromkeys(ids, detail), batch)


def note_each(
    connection: sa.Connection, what: str, details: Mapping[UUID, str], batch: UUID | None = None
) -> None:
    """Put a line on the timeline of each notification. details: of each, by its id."""
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
        for id, detail in details.items()
    ]
    if rows:
        connection.execute(sa.insert(events), rows)
