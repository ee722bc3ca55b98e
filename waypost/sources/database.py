"""Rows of a query on PostgreSQL or SQLite, in a transaction that only reads.

PostgreSQL opens the transaction READ ONLY and streams from a cursor on the server. SQLite opens the file for
reading, and its authorizer refuses every action but reading. Both take one statement. The transaction is
rolled back.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Collection, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, ResourceClosedError
from sqlalchemy.ext.asyncio import AsyncResult, create_async_engine
from sqlalchemy.pool import NullPool

from waypost.config.settings import with_async_driver
from waypost.ledger.database import postgres_url
from waypost.mail.masking import mask_in
from waypost.sources.files import checked_columns
from waypost.sources.rows import AT_ONCE, Row, SourceFailed

CONNECTS_WITHIN = 10.0  # seconds
ROWS_WITHIN = 300.0  # seconds until the next rows come: a query that never ends holds up its run
_INSTRUCTIONS = 100_000  # of SQLite between two looks at the clock: some milliseconds
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_WRITES = "the query tries to write; write a SELECT that only reads"
_NO_ROWS = "the query returns no rows; write a SELECT"
_SETTING = "WAYPOST_DATABASE_URL"

Part = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The query with its date, the columns that it needs, and the seconds until its next rows."""

    text: sa.TextClause
    needed: Collection[str]
    within: float

    def columns(self, result: sa.CursorResult[Any] | AsyncResult[Any]) -> list[str]:
        """The columns of the result. Raises SourceFailed."""
        return checked_columns(list(result.keys()), "the query", self.needed)


def statement(query: str, day: date) -> sa.TextClause:
    """The query with its date. Raises SourceFailed for another parameter."""
    text = sa.text(query.strip().removesuffix(";"))
    named = text.compile().params.keys()
    if others := sorted(named - {"date"}):
        raise SourceFailed(f"the query has a parameter :{others[0]}; the only parameter is :date")
    return text.bindparams(sa.bindparam("date", day, sa.Date)) if named else text


async def rows_of(
    url: str,
    query: str,
    day: date,
    project: Path,
    *,
    needed: Collection[str] = (),
    within: float | None = None,
) -> AsyncGenerator[list[Row]]:
    """The rows of `query`, some at once. project: the folder that the path of a SQLite file is relative to.
    needed: columns that it has to have. within: seconds until the next rows come; ROWS_WITHIN by default.

    Raises SourceFailed."""
    asked = _Asked(statement(query, day), needed, within or ROWS_WITHIN)
    parts = _of_sqlite(url, asked, project) if url.startswith("sqlite") else _of_postgres(url, asked)
    number = 0
    try:
        async for columns, part in parts:
            yield [
                Row(f"row {number + place}", dict(zip(columns, values, strict=True)))
                for place, values in enumerate(part, 1)
            ]
            number += len(part)
    except SourceFailed:
        raise
    except Exception as error:  # whatever a driver raises
        raise SourceFailed(_why(error, asked.within)) from None
    finally:
        await parts.aclose()


async def _of_postgres(url: str, asked: _Asked) -> AsyncGenerator[tuple[list[str], Part]]:
    try:
        place, named = postgres_url.read(with_async_driver(url))
    except ValueError as error:
        raise SourceFailed(str(error).replace(_SETTING, "its url")) from None
    connect = {"timeout": min(CONNECTS_WITHIN, asked.within), **named}
    engine = create_async_engine(place, poolclass=NullPool, connect_args=connect, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            await connection.execution_options(postgresql_readonly=True)
            async with asyncio.timeout(asked.within):
                result = await connection.stream(asked.text, execution_options={"yield_per": AT_ONCE})
                columns = asked.columns(result)
            while True:
                async with asyncio.timeout(asked.within):
                    part = await result.fetchmany(AT_ONCE)
                if not part:
                    return
                yield columns, part
    finally:
        await engine.dispose()


async def _of_sqlite(url: str, asked: _Asked, project: Path) -> AsyncGenerator[tuple[list[str], Part]]:
    parts = _read_sqlite(_sqlite_file(url, project), asked)
    try:
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            yield part
    finally:
        with suppress(ValueError):  # its thread still reads, and this task is cancelled
            await asyncio.to_thread(parts.close)


def _sqlite_file(url: str, project: Path) -> Path:
    try:
        named = sa.make_url(url).database
    except (ValueError, ArgumentError):
        raise SourceFailed("its url cannot be read; write sqlite:///file") from None
    if not named or named == ":memory:":
        raise SourceFailed("its url names no file; write sqlite:///file")
    file = project / named
    if not file.is_file():
        raise SourceFailed(f"the file {file} does not exist")
    return file


def _read_sqlite(file: Path, asked: _Asked) -> Generator[tuple[list[str], Part]]:
    place = f"sqlite:///file:{quote(str(file))}?mode=ro&uri=true"
    engine = sa.create_engine(place, poolclass=NullPool, hide_parameters=True)
    ends = [0.0]
    try:
        with engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.set_authorizer(_authorized)
            raw.set_progress_handler(lambda: time.monotonic() > ends[0], _INSTRUCTIONS)
            ends[0] = time.monotonic() + asked.within
            result = connection.execute(asked.text, execution_options={"yield_per": AT_ONCE})
            columns = asked.columns(result)
            while part := result.fetchmany(AT_ONCE):
                yield columns, part
                ends[0] = time.monotonic() + asked.within
    finally:
        engine.dispose()


def _authorized(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
    harmless = action in _READING and second != "load_extension"
    return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY


def _why(error: Exception, within: float) -> str:
    """What happened to the query or its database. The message of a database is repeated only where it is
    about the query: elsewhere it may have values of rows."""
    found: Any = getattr(error, "orig", None)
    cause = error if found is None else found.__cause__ or found  # SQLAlchemy wraps the errors of asyncpg
    state = str(getattr(cause, "sqlstate", None) or "")
    match cause:
        case ResourceClosedError():
            return _NO_ROWS
        case sqlite3.Error():
            return _of_sqlite_error(cause, within)
        case TimeoutError():
            return f"the database does not respond, or sent no rows for {within:.0f} seconds"
        case OSError():
            return f"the database does not respond ({os.strerror(cause.errno or 0)})"
        case _ if state == "25006":
            return _WRITES
        case _ if state.startswith("42") or state == "3D000":
            return f"the database refused the query ({_first_line(cause)})"
        case _ if state.startswith("28"):
            return "the database refused the login of its url"
        case _:
            return f"the query failed ({type(cause).__name__})"


def _of_sqlite_error(error: sqlite3.Error, within: float) -> str:
    said = _first_line(error)
    if "authoriz" in said or "prohibited" in said or "readonly database" in said:
        return _WRITES
    if said == "interrupted":
        return f"the query sent no rows for {within:.0f} seconds"
    return f"the database refused the query ({said})"


def _first_line(error: Exception) -> str:
    return mask_in((str(error).splitlines() or [type(error).__name__])[0][:200])
