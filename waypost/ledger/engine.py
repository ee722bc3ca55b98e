"""The connection to the ledger's database: one way to read, one way to write, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from waypost.ledger import migrate

T = TypeVar("T")


class LedgerBehind(RuntimeError):
    """The database's schema is not the one this version of Waypost expects."""


class Ledger:
    """A database with the ledger's tables. Open it with `open_ledger`."""

    def __init__(self, engine: AsyncEngine, lease: timedelta) -> None:
        self.engine = engine
        self.lease = lease
        self.is_postgres = engine.dialect.name == "postgresql"
        # SQLite has one writer; waiting here costs nothing, waiting in SQLite is a sleep and a retry.
        self._writer = asyncio.Lock() if not self.is_postgres else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that sees one moment of the ledger and changes nothing."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """One transaction: all of it is durable when the block ends, or none of it."""
        async with AsyncExitStack() as stack:
            if self._writer is not None:
                await stack.enter_async_context(self._writer)
            connection = await stack.enter_async_context(self.engine.connect())
            await connection.execution_options(waypost_writes=True)
            async with connection.begin():
                yield connection

    async def transact(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` as one transaction and answer what it does.

        For what is written many times a second: on SQLite all of `work` is one step in a thread,
        where every statement through `write` is a step of its own.
        """
        if self._writer is None:
            async with self.write() as connection:
                return await connection.run_sync(work)
        async with self._writer:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Callable[[sa.Connection], T]) -> T:
        with self._own.connect() as connection:
            connection.execution_options(waypost_writes=True)
            with connection.begin():
                return work(connection)

    def insert(self, table: sa.Table) -> Any:
        """INSERT with ON CONFLICT, which SQLAlchemy keeps in each dialect of its own."""
        return postgresql.insert(table) if self.is_postgres else sqlite.insert(table)

    async def check_schema(self) -> None:
        """Raise LedgerBehind unless the schema is this version's."""
        async with self.read() as connection:
            found = await connection.run_sync(
                lambda sync: MigrationContext.configure(sync).get_current_revision()
            )
        if found != migrate.head():
            raise LedgerBehind(
                f"the ledger's schema is {found or 'empty'}, this version needs {migrate.head()}: "
                "run `waypost db upgrade`"
            )

    async def upgrade(self) -> None:
        """Bring the schema to this version. Safe to run again, and by two processes at once."""
        async with self.write() as connection:
            if self.is_postgres:
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(7496)"))
            await connection.run_sync(migrate.upgrade)

    async def close(self) -> None:
        """Give back every connection."""
        await self.engine.dispose()
        self._thread.shutdown()
        if "_own" in self.__dict__:
            self._own.dispose()

    @cached_property
    def _own(self) -> sa.Engine:
        """The same SQLite file, opened without asyncio. Only its one thread uses it."""
        engine = sa.create_engine(self.engine.url.set(drivername="sqlite"), **_OPTIONS)
        _tune_sqlite(engine)
        return engine


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


_OPTIONS: dict[str, Any] = {
    "json_serializer": _to_json,
    "json_deserializer": orjson.loads,
    "hide_parameters": True,  # addresses and facts stay out of database errors
}


def open_ledger(url: str, lease: timedelta = timedelta(seconds=60)) -> Ledger:
    """The ledger at `url` (an SQLAlchemy URL with an async driver). Connects on first use.

    Raises ValueError, without repeating any of it, when it cannot be read as one.
    """
    try:
        sa.make_url(url)
    except (ValueError, ArgumentError):
        raise ValueError(
            "WAYPOST_DATABASE_URL cannot be read: in a password, write @ : / ? # and the like percent-encoded"
        ) from None
    if url.startswith("sqlite"):
        engine = create_async_engine(url, pool_size=4, **_OPTIONS)
        _tune_sqlite(engine.sync_engine)
    else:
        engine = create_async_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True, **_OPTIONS)
    return Ledger(engine, lease)


def _tune_sqlite(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        # A write that begins as a read can fail half way with "database is locked"; this cannot.
        writes = connection.get_execution_options().get("waypost_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
