"""Reading rows that may be damaged: readable values are converted, the others are shown as they stand.

SQLite stores any value in any column; a row with a wrong value must not hide the other rows.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import orjson
import sqlalchemy as sa

# A moment or id if the value can be read as one, else the text of the value.
Moment = datetime | str
Identity = UUID | str


def raw(*columns: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    """`columns` as the driver gives them, so that no value makes the query fail."""
    return [sa.type_coerce(column, sa.types.NullType()).label(column.key) for column in columns]


@contextmanager
def forgiving(connection: sa.Connection) -> Generator[None]:
    """During the block, text that is not UTF-8 is read with replacement characters; otherwise it would make a
    query on SQLite fail."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.text_factory = text
    try:
        yield
    finally:
        driver.text_factory = str


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
    if value is None:
        return None
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
