"""Changes of many rows in steps: short transactions with pauses between them, so that other writers get their
turn, even on SQLite, which has one writer at a time.

Rows are found outside of any write.

A step is bounded by rows and by bytes: SQLite writes a changed row anew, with all its data.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import notifications
from waypost.system import clock

FIRST, LEAST, MOST = 50, 10, 1000  # rows per transaction
MOST_BYTES = 4 * 1024 * 1024  # of data per transaction: SQLite writes them in about 30 ms
TARGET_SECONDS = 0.01  # per transaction, too short for a waiting writer to notice

T = TypeVar("T")
Find = Callable[[int], sa.Select[Any]]


class Change(Protocol):
    def __call__(self, connection: sa.Connection, *, ids: Sequence[Any]) -> int: ...


class Pace:
    """How many rows the next transaction changes, so that it takes about TARGET_SECONDS."""

    def __init__(self) -> None:
        self.rows = FIRST

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Around a transaction: afterwards, pause for as long as it took."""
        began = clock.monotonic()
        yield
        took = clock.monotonic() - began
        self.rows = step(self.rows, took)
        await asyncio.sleep(took)


async def in_steps(ledger: Ledger, find: Find, change: Change) -> int:
    """Change the rows that `find` selects: their ids, and the bytes of each if rows differ in size. Ends when
    no row is found, or when other transactions lock all of them. Returns how many rows were changed."""
    pace, done = Pace(), 0
    while ids := await ledger.read(partial(ids_of_a_step, find(pace.rows))):
        async with pace.transaction():
            changed = await ledger.write(partial(change, ids=ids))
        if not changed:
            break
        done += changed
    return done


async def delete_in_steps(ledger: Ledger, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    """Delete the rows of a table that an index finds by `which`. Returns how many."""
    pace, key, deleted = Pace(), list(table.primary_key), 0
    while True:
        some = sa.select(*key).where(which).limit(pace.rows)
        gone = sa.delete(table).where(sa.tuple_(*key).in_(some), which)
        async with pace.transaction():
            count = await ledger.write(partial(_deleted, gone))
        if not count:
            return deleted
        deleted += count


def _deleted(gone: sa.Delete, connection: sa.Connection) -> int:
    return connection.execute(gone).rowcount


def step(rows: int, took: float) -> int:
    """How many rows the next transaction changes, when the last changed `rows` in `took` seconds."""
    if took > TARGET_SECONDS:
        return max(LEAST, rows // 2)
    return min(MOST, rows * 2) if took < TARGET_SECONDS / 3 else rows


def portions(
    items: Sequence[T],
    size: Callable[[T], int],
    rows: Callable[[T], int] = lambda _: 1,
    most: int = MOST,
    most_bytes: int = MOST_BYTES,
) -> list[list[T]]:
    """Divide `items`, in their order, into portions of at most `most` rows and `most_bytes`. An item that is
    larger has a portion of its own."""
    divided: list[list[T]] = []
    room, room_bytes = 0, 0
    for item in items:
        room, room_bytes = room - rows(item), room_bytes - size(item)
        if not divided or room < 0 or room_bytes < 0:
            divided.append([])
            room, room_bytes = most - rows(item), most_bytes - size(item)
        divided[-1].append(item)
    return divided


def written_bytes(is_postgres: bool) -> sa.ColumnElement[int]:
    """The bytes of a notification's data that are written or deleted with its row. PostgreSQL stores long
    data apart and compressed."""
    return sa.func.pg_column_size(notifications.c.data) if is_postgres else read_bytes(is_postgres)


def read_bytes(is_postgres: bool) -> sa.ColumnElement[int]:
    """The bytes of a notification's data when it is read."""
    data = notifications.c.data
    if is_postgres:
        return sa.func.octet_length(sa.cast(data, sa.Text))
    return sa.func.length(sa.cast(data, sa.LargeBinary))


def ids_of_a_step(wanted: sa.Select[Any], connection: sa.Connection) -> list[UUID]:
    """The first ids that `wanted` selects, as many as one transaction may change; without rows whose id is
    none. wanted: ids, and the bytes of each if rows differ in size."""
    column, *size = wanted.selected_columns
    found = tolerant.read(connection, wanted.with_only_columns(*tolerant.raw(column), *size))
    rows = ((tolerant.identity(row[0]), row[1] if size else 0) for row in found)
    known = [(id, bytes) for id, bytes in rows if isinstance(id, UUID)]
    return [id for id, _ in portions(known, size=lambda row: row[1])[0]] if known else []
