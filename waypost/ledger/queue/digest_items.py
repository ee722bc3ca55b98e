"""The items of a digest share its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.tables import notifications

_SHARED = ("state", "reason", "finished_at")


def copy_end_to_items(connection: sa.Connection, digests: Sequence[UUID], values: Mapping[str, Any]) -> None:
    """Give the items of `digests` the state, reason and finished_at their digest was just given. Ids of
    other notifications have no effect."""
    if digests:
        shared = {name: values[name] for name in _SHARED}
        connection.execute(
            sa.update(notifications).where(in_ids(notifications.c.digest_id, digests)).values(**shared)
        )
