"""The items of a digest share its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.steps import MOST, in_steps, portions, written_bytes
from waypost.ledger.database.tables import ENDED, IN_HAND, notifications

_SHARED = ("state", "reason", "finished_at")


def copy_to_items(connection: sa.Connection, digests: Sequence[UUID], values: Mapping[str, Any]) -> None:
    """Give all items of `digests` the state, reason and finished_at their digest was just given. Ids of
    other notifications have no effect."""
    if digests:
        _set(connection, in_ids(notifications.c.digest_id, digests), values)


def copy_end_to_items(connection: sa.Connection, digests: Sequence[UUID], values: Mapping[str, Any]) -> None:
    """Like `copy_to_items`, for digests that have just ended: many may end in one transaction, so the items
    beyond one step are left to `finish_items`."""
    if not digests:
        return
    size = written_bytes(is_postgres(connection)).label("bytes")
    theirs = sa.select(notifications.c.id, size).where(in_ids(notifications.c.digest_id, digests))
    if found := connection.execute(theirs.limit(MOST)).all():
        some = portions(found, lambda row: row.bytes)[0]
        _set(connection, in_ids(notifications.c.id, [row.id for row in some]), values)


async def finish_items(ledger: Ledger) -> None:
    """Give open items of ended digests the end of their digest, in steps."""
    digest = notifications.alias("digest")
    ended = sa.exists().where(digest.c.id == notifications.c.digest_id, ENDED)
    open_items = sa.select(notifications.c.id, written_bytes(ledger.is_postgres)).where(
        IN_HAND, notifications.c.batch_id.is_(None), notifications.c.digest_id.is_not(None), ended
    )
    await in_steps(ledger, open_items.limit, _finish)


def _finish(connection: sa.Connection, *, ids: Sequence[UUID]) -> int:
    """Their digests are locked, so that no person retries them meanwhile."""
    table = notifications.c
    theirs = sa.select(table.digest_id).where(in_ids(table.id, ids))
    ended = sa.select(table.id, *(table[name] for name in _SHARED)).where(table.id.in_(theirs), ENDED)
    alike: dict[tuple[Any, ...], list[UUID]] = {}
    for id, *end in connection.execute(ended.with_for_update()).all():
        alike.setdefault(tuple(end), []).append(id)
    return sum(
        _set(
            connection,
            sa.and_(in_ids(table.id, ids), in_ids(table.digest_id, digests)),
            dict(zip(_SHARED, end, strict=True)),
        )
        for end, digests in alike.items()
    )


def _set(connection: sa.Connection, which: sa.ColumnElement[bool], values: Mapping[str, Any]) -> int:
    shared = {name: values[name] for name in _SHARED}
    return connection.execute(sa.update(notifications).where(which).values(shared)).rowcount
