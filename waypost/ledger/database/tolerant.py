"""Reading rows that may be damaged: what can be read is, the rest is shown as it stands.

SQLite keeps whatever it is given, so a column may hold anything; one such row must not hide the others.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import orjson
import sqlalchemy as sa

# A moment or id where it can be read as one, else the text that stands in its place.
Moment = datetime | str
Identity = UUID | str


def raw(*columns: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    """`columns` as the driver gives them, so that no value makes the query fail."""
    return [sa.type_coerce(column, sa.types.NullType()).label(column.key) for column in columns]


@contextmanager
def forgiving(connection: sa.Connection) -> Generator[None]:
    """For the length of the block, text that is not UTF-8 is read with marks in it, where SQLite would
    fail the query."""
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
    """`value` as text; nothing is empty text."""
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def moment(value: Any) -> Moment | None:
    """`value` in UTC; SQLite's text has no zone and means UTC."""
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(text(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return text(value)


def identity(value: Any) -> Identity | None:
    """`value` as a UUID."""
    if value is None:
        return None
    try:
        return UUID(text(value))
    except ValueError:
        return text(value)


def object(value: Any) -> dict[str, Any]:
    """`value` as the JSON object that it is, or its text; empty where it is none."""
    try:
        found = orjson.loads(value) if isinstance(value, str | bytes) else value
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
