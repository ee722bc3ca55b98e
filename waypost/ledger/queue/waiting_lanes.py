"""The lanes with waiting notifications, and when the first of each is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import WAITING, holds, notifications
from waypost.ledger.queue import damaged_rows
from waypost.model.priority import Priority


@dataclass(frozen=True, slots=True)
class Lane:
    """The waiting notifications of one type and priority. due_at: when the first of them is or was due."""

    type: str
    priority: Priority
    due_at: datetime


async def waiting_lanes(ledger: Ledger, types: Iterable[str]) -> list[Lane]:
    """The lanes of `types` with waiting notifications, due or not, the most urgent first; no held types.

    One index lookup per lane: the cost does not grow with the ledger. A notification whose due time is not
    a valid moment fails here.
    """
    types = tuple(types)
    await damaged_rows.reassign_unknown_lanes(ledger, types)
    while True:
        found = await ledger.read(lambda connection: _look(connection, types))
        blind = [(type, priority) for type, priority, due_at in found if due_at is None]
        if not blind or not await ledger.write(partial(_clear, blind=blind)):
            break
    waiting = [Lane(type, Priority(priority), due_at) for type, priority, due_at in found if due_at]
    return sorted(waiting, key=lambda lane: (lane.priority.rank, lane.due_at))


def _look(connection: sa.Connection, types: tuple[str, ...]) -> list[tuple[str, str, datetime | None]]:
    """Each lane with waiting notifications, and when its first is due; None where that is not a moment."""
    with tolerant.forgiving(connection):
        rows = connection.execute(_looks(types, is_postgres(connection))).all()
    return [(row.type, row.priority, damaged_rows.moment(row.due_at)) for row in rows]


def _clear(connection: sa.Connection, blind: Sequence[tuple[str, str]]) -> int:
    return sum(damaged_rows.fail_never_due(connection, type, priority) for type, priority in blind)


@lru_cache(16)
def _looks(types: tuple[str, ...], is_postgres: bool) -> sa.Select[Any]:
    """The statement of `waiting_lanes`, cached, as building it takes longer than running it."""
    looks = [
        sa.select(
            sa.literal(type).label("type"),
            sa.literal(str(priority)).label("priority"),
            sa.select(sa.func.min(notifications.c.due_at))
            .where(notifications.c.type == type, notifications.c.priority == str(priority), WAITING)
            .scalar_subquery()
            .label("due_at"),
        )
        for type in types
        for priority in Priority
    ]
    found = sa.union_all(*looks).subquery()
    due_at = damaged_rows.readable_moment(found.c.due_at, is_postgres).label("due_at")
    return sa.select(found.c.type, found.c.priority, due_at).where(
        found.c.due_at.is_not(None), found.c.type.not_in(sa.select(holds.c.type))
    )
