"""Reading rows that may be damaged: readable values are converted, the others are shown as they stand.

SQLite stores any value in any column; a row with a wrong value must not hide the other rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles

from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.tables import UtcDateTime
from waypost.mail.masking import mask_in
from waypost.system.key_ring import NotOpened

# A moment or id if the value can be read as one, else the text of the value.
Moment = datetime | str
Identity = UUID | str

# What a driver or a column's type raises for a value that it cannot convert.
Unreadable = (ValueError, TypeError, ArithmeticError)

T = TypeVar("T")
logger = logging.getLogger("waypost.ledger")


def is_undecodable(error: BaseException) -> bool:
    """Whether SQLite has text that is not UTF-8 in a row."""
    return isinstance(error, OperationalError) and "decode to UTF-8" in str(error.orig)


def is_unreadable(error: BaseException) -> bool:
    """Whether a query failed because of a value in a row."""
    return isinstance(error, Unreadable) or is_undecodable(error)


class Damaged(NamedTuple):
    """A row that cannot be read. key: as the driver gives it. is_it: the condition that finds the row."""

    key: Any
    is_it: sa.ColumnElement[bool]


class Found(NamedTuple, Generic[T]):
    """What was made of the rows that can be read, and the others."""

    good: list[T]
    damaged: list[Damaged]


def each(
    connection: sa.Connection,
    wanted: sa.Select[Any],
    key: Sequence[sa.Column[Any]],
    make: Callable[[sa.Row[Any]], T],
    given: Mapping[str, Any] | None = None,
) -> Found[T]:
    """What `make` returns for each row of `wanted`. `make` raises one of `Unreadable` for values that it
    cannot use. If a row cannot be read, all are read one by one; a damaged row is left out, and logged once.

    key: the primary key of a table of `wanted`, which tells the rows apart; its first column is logged.
    given: the parameters of `wanted`.
    """
    try:
        return Found([make(row) for row in connection.execute(wanted, given).all()], [])
    except (*Unreadable, OperationalError) as error:
        if not is_unreadable(error):
            raise
    return _one_by_one(connection, wanted, key, make, given)


def _one_by_one(
    connection: sa.Connection,
    wanted: sa.Select[Any],
    key: Sequence[sa.Column[Any]],
    make: Callable[[sa.Row[Any]], T],
    given: Mapping[str, Any] | None,
) -> Found[T]:
    found: Found[T] = Found([], [])
    for one in _rows_of(connection, wanted, key, given):
        try:
            [row] = connection.execute(wanted.where(one.is_it), given).all()
            found.good.append(make(row))
        except (*Unreadable, OperationalError) as error:
            if not is_unreadable(error):
                raise
            found.damaged.append(one)
            report(key[0].table, one.key, error)
    return found


def _rows_of(
    connection: sa.Connection,
    wanted: sa.Select[Any],
    key: Sequence[sa.Column[Any]],
    given: Mapping[str, Any] | None,
) -> list[Damaged]:
    """Each row of `wanted`, unread. On SQLite a row is found by its number: its key may be damaged too."""
    if is_postgres(connection):
        keys = connection.execute(wanted.with_only_columns(*key), given).all()
        return [
            Damaged(values[0], sa.and_(*(column == value for column, value in zip(key, values, strict=True))))
            for values in keys
        ]
    number: sa.ColumnElement[int] = sa.literal_column(f"{key[0].table}.rowid", sa.Integer())
    rows = read(connection, wanted.with_only_columns(*raw(key[0]), number), given)
    return [Damaged(value, number == at) for value, at in rows]


def report(table: Any, key: Any, error: BaseException) -> None:
    """Log once that a row of `table` cannot be read."""
    why = str(error) if isinstance(error, NotOpened) else type(error).__name__
    _report(str(table), mask_in(text(key)), why)


@lru_cache(1024)  # so that a row read often is logged once
def _report(table: str, key: str, error: str) -> None:
    logger.error("a row of %s cannot be read and is skipped (%s): %s", table, error, key)


def checked(row: Any, table: sa.Table) -> Any:
    """`row`, which has the columns of `table`. Raises TypeError for a value that is not of its column's type:
    SQLite stores any value in any column, and SQLAlchemy passes texts and numbers on as they are."""
    for name, kind in _kinds(table):
        if not isinstance(getattr(row, name), kind):
            raise TypeError(name)
    return row


@lru_cache(32)
def _kinds(table: sa.Table) -> list[tuple[str, tuple[type, ...]]]:
    """The types that each column's values may have. JSON may be anything."""
    return [
        (column.name, (_kind(column.type), *([type(None)] if column.nullable else [])))
        for column in table.c
        if not isinstance(column.type, sa.JSON)
    ]


def _kind(of: sa.types.TypeEngine[Any]) -> type:
    return of.impl_instance.python_type if isinstance(of, sa.TypeDecorator) else of.python_type


def raw(*columns: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    """`columns` as the driver gives them, so that no value makes the query fail. PostgreSQL's moments are
    text: its driver has no datetime for some."""
    return [_raw(column).label(column.key) for column in columns]


def _raw(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return (
        _Moment(column)
        if isinstance(column.type, UtcDateTime)
        else sa.type_coerce(column, sa.types.NullType())
    )


class _Moment(sa.ColumnElement[Any]):
    inherit_cache = True
    type: Any = sa.types.NULLTYPE
    _traverse_internals: ClassVar[Any] = [("column", sa.sql.visitors.InternalTraversal.dp_clauseelement)]

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        self.column = column

    @property
    def _from_objects(self) -> Any:
        return self.column._from_objects  # pyright: ignore[reportPrivateUsage]


@compiles(_Moment)
def _as_it_is(element: _Moment, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return compiler.process(element.column, **options)


@compiles(_Moment, "postgresql")
def _as_text(element: _Moment, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return f"CAST({compiler.process(element.column, **options)} AS TEXT)"


@contextmanager
def forgiving(connection: sa.Connection) -> Generator[None]:
    """During the block, text that is not UTF-8 is read with replacement characters; otherwise it would make a
    query on SQLite fail."""
    if is_postgres(connection):
        yield
        return
    driver: Any = connection.connection.driver_connection
    before, driver.text_factory = driver.text_factory, text
    try:
        yield
    finally:
        driver.text_factory = before


def read(
    connection: sa.Connection, wanted: Any, given: Mapping[str, Any] | None = None
) -> Sequence[sa.Row[Any]]:
    """The rows that `wanted` selects or returns, in columns that are `raw`. given: its parameters."""
    with forgiving(connection):
        return connection.execute(wanted, given).all()


def ids(connection: sa.Connection, wanted: Any, given: Mapping[str, Any] | None = None) -> list[UUID]:
    """The ids that `wanted` selects or returns as one `raw` column; without those that are none. given: its
    parameters."""
    with forgiving(connection):
        return valid_ids(connection.scalars(wanted, given))


def valid_ids(values: Iterable[Any]) -> list[UUID]:
    """Those of `values` that are ids."""
    return [id for value in values if isinstance(id := identity(value), UUID)]


def text(value: Any) -> str:
    """`value` as text; empty for None."""
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def moment(value: Any) -> Moment | None:
    """`value` in UTC, or its text when it is not a moment; SQLite's text has no zone and means UTC."""
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(text(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return text(value)


def identity(value: Any) -> Identity | None:
    """`value` as a UUID, or its text when it is not a UUID."""
    if value is None or isinstance(value, UUID):
        return value
    try:
        return UUID(text(value))
    except ValueError:
        return text(value)


def object(value: Any) -> dict[str, Any]:
    """The JSON object that `value` is or holds as text; empty when there is none."""
    try:
        found = orjson.loads(value) if isinstance(value, str | bytes) else value
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
