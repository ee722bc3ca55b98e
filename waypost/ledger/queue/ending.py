"""Ends notifications without a run: they expired, may not be sent, or cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.tables import notifications
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.model.states import State


def end(connection: sa.Connection, ids: Sequence[UUID], state: State, reason: str, moment: datetime) -> None:
    """End `ids`, whose rows this transaction has locked; the items of a digest share its end."""
    if ids:
        values: dict[str, Any] = {"state": state, "reason": reason, "finished_at": moment}
        connection.execute(sa.update(notifications).where(in_ids(notifications.c.id, ids)).values(values))
        copy_end_to_items(connection, ids, values)
