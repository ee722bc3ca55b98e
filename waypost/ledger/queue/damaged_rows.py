"""Damaged rows: each fails alone, or is repaired, and the other rows go on.

SQLite stores any value in any column, and PostgreSQL has moments that Python cannot represent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast
from uuid import UUID
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import WAITING, UtcDateTime, notifications
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.ledger.queue.ending import end
from waypost.ledger.queue.timeline_events import note_events
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.system.clock import now

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)  # a day from either end, so that they exist in every time zone
LATEST = datetime(9999, 12, 30, tzinfo=UTC)
MOST = 1_000_000  # tries, steps and repeats: no real count gets this far
AT_ONCE = 100
STRAYS_EVERY = 60.0  # seconds

CANNOT_BE_READ = "its row or its recipient's row in the ledger cannot be read"
HOLD_CANNOT_BE_READ = "the hold's row in the ledger cannot be read"
NEVER_DUE = "its due time cannot be read"

logger = logging.getLogger("waypost.ledger")
_strays_sought: WeakKeyDictionary[Ledger, float] = WeakKeyDictionary()


def readable_moment(column: sa.ColumnElement[Any], is_postgres: bool) -> sa.ColumnElement[Any]:
    """The column of a moment, to be read with `moment`: no value makes the query fail."""
    if not is_postgres:
        return sa.type_coerce(column, sa.types.NullType())
    ends = (sa.literal(end, UtcDateTime) for end in (EARLIEST, LATEST))
    return sa.func.least(sa.func.greatest(column, next(ends)), next(ends), type_=UtcDateTime)


def moment(value: Any) -> datetime | None:
    """The value of a `readable_moment` column; None when it is not a valid moment."""
    found = tolerant.moment(value)
    return found if isinstance(found, datetime) and EARLIEST < found < LATEST else None


def check_counts(*numbers: Any) -> None:
    """Raise TypeError unless all `numbers` can be real counts: ints from 0 to below MOST."""
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number < MOST:
            raise TypeError("no count")


def checked_item(row: Any) -> Any:
    """`row`, which has the columns that a digest takes from an item. Raises TypeError for values that no item
    has."""
    if not isinstance(row.data, dict):
        raise TypeError("data")
    check_counts(row.occurrences)
    return checked_address(row)


def checked_address(row: Any) -> Any:
    """`row`, which has the columns by which items are bundled. Raises TypeError for values that no item
    has."""
    if type(row.named) not in (dict, type(None)):
        raise TypeError("named")
    texts: list[Any] = [row.recipient_key, row.client or "", row.brand or "", *(row.named or {}).values()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("recipient_key, client, brand, named")
    if not EARLIEST < row.accepted_at < LATEST:
        raise TypeError("accepted_at")
    return row


def is_valid(
    data: Any,
    priority: Any,
    counts: tuple[Any, ...],
    accepted_at: datetime,
    expires_at: datetime,
    named: Any = None,
    brand: Any = None,
) -> bool:
    """Whether a notification can have these values."""
    return (
        isinstance(data, dict)
        and (named is None or _are_texts(named))
        and (brand is None or isinstance(brand, str))  # no mail goes out under another brand
        and priority in _LANES
        and set(map(type, counts)) == _WHOLE
        and max(counts) < MOST
        and EARLIEST < accepted_at < LATEST
        and expires_at < LATEST
    )


def _are_texts(named: Any) -> bool:
    """Whether a request can have named this of its recipient."""
    return isinstance(named, dict) and _TEXTS.issuperset(map(type, cast("dict[str, Any]", named).values()))


_LANES = frozenset(map(str, Priority))
_WHOLE = {int}
_TEXTS = {str, type(None)}


def fail(connection: sa.Connection, ids: Sequence[UUID], reason: str = CANNOT_BE_READ) -> None:
    """Fail `ids`; the items of a digest share its end."""
    if ids:
        logger.error("%d notifications failed: %s; the first is %s", len(ids), reason, ids[0])
        end(connection, ids, State.FAILED, reason, now())


def fail_unreadable(connection: sa.Connection, damaged: Sequence[tolerant.Damaged]) -> None:
    """Fail notifications whose rows cannot be read, even the id; the items of a digest share its end."""
    if damaged:
        values: dict[str, Any] = {"state": State.FAILED, "reason": CANNOT_BE_READ, "finished_at": now()}
        for one in damaged:
            connection.execute(sa.update(notifications).where(one.is_it).values(values))
        copy_end_to_items(connection, ids_of(damaged), values)


def ids_of(damaged: Sequence[tolerant.Damaged]) -> list[UUID]:
    """The ids of those of `damaged` whose id is not what is damaged."""
    return tolerant.valid_ids(one.key for one in damaged)


def fail_never_due(connection: sa.Connection, type: str, priority: str) -> int:
    """Fail the first notifications of a lane if their due time is not a valid moment: they would hide those
    behind them. Returns how many."""
    table, postgres = notifications, is_postgres(connection)
    first = (
        sa.select(*tolerant.raw(table.c.id), readable_moment(table.c.due_at, postgres).label("due_at"))
        .where(table.c.type == type, table.c.priority == priority, WAITING)
        .order_by(table.c.due_at)
        .limit(AT_ONCE)
    )
    with tolerant.forgiving(connection):
        never = [row.id for row in connection.execute(first) if moment(row.due_at) is None]
    ids = tolerant.valid_ids(never)
    fail(connection, ids, NEVER_DUE)
    return len(ids)


async def reassign_unknown_lanes(ledger: Ledger, types: Iterable[str]) -> None:
    """Move waiting notifications of unknown priority to the normal lane. Checks once a minute: only a damaged
    row or another version of Waypost causes them."""
    moment = asyncio.get_running_loop().time()
    if moment - _strays_sought.get(ledger, -STRAYS_EVERY) < STRAYS_EVERY:
        return
    _strays_sought[ledger] = moment
    found = await ledger.read(lambda connection: _strays(connection, tuple(types)))
    if found:
        await ledger.write(lambda connection: _bring_in(connection, found))


def _strays(connection: sa.Connection, types: tuple[str, ...]) -> dict[UUID, str]:
    with tolerant.forgiving(connection):
        found = {row.id: tolerant.text(row.priority) for row in connection.execute(_between_lanes(types))}
    return {id: priority for raw, priority in found.items() for id in tolerant.valid_ids([raw])}


@lru_cache(16)
def _between_lanes(types: tuple[str, ...]) -> sa.Select[Any]:
    """The index ranges before, between and after the known lanes: looking there costs next to nothing, while
    `NOT IN` scans all waiting notifications."""
    table, names = notifications, sorted(_LANES)
    gaps = [
        table.c.priority < names[0],
        *(sa.and_(table.c.priority > one, table.c.priority < next) for one, next in pairwise(names)),
        table.c.priority > names[-1],
    ]
    looks = [
        sa.select(*tolerant.raw(table.c.id, table.c.priority))
        .where(table.c.type == type, WAITING, gap)
        .limit(AT_ONCE)
        .subquery()
        for type in types
        for gap in gaps
    ]
    return sa.select(sa.union_all(*(sa.select(look) for look in looks)).subquery())


def _bring_in(connection: sa.Connection, strays: dict[UUID, str]) -> None:
    moved = (
        sa.update(notifications)
        .where(in_ids(notifications.c.id, list(strays)), WAITING)
        .values(priority=Priority.NORMAL)
        .returning(notifications.c.id)
    )
    for id in connection.scalars(moved).all():
        why = f"unknown lane {strays[id]!r}"
        logger.warning("notification %s was moved to the normal lane: %s", id, why)
        note_events(connection, [id], "moved to the normal lane", why)
