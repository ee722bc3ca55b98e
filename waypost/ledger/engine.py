"""The connection to the ledger's database: one way to read, one way to write, on both databases.

Work is a plain function over a connection, run as one transaction: inside a greenlet on PostgreSQL, as
one step of a thread on SQLite.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from waypost.ledger import migrate, postgres_url
from waypost.ledger.ledger_file import FileReplaced, LedgerFile
from waypost.ledger.many import as_json
from waypost.ledger.reach import NOT_CONNECTED, check_fit, reached
from waypost.ledger.silence import PARTING_SECONDS, Watch, impatient
from waypost.ledger.tuning import tune_sqlite

if TYPE_CHECKING:
    from waypost.settings import Settings

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

LEASE = timedelta(seconds=30)
BUSY = timedelta(seconds=30)  # for SQLite's one writer
READERS = 4  # threads of SQLite
BROWSERS = 2  # reads at once that may be long
BROWSING_SECONDS = 20.0  # that such a read may take on SQLite; on PostgreSQL its statement_timeout tells
STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine, some milliseconds, between two looks at the clock
SENT_BACK = ("40001", "40P01")  # PostgreSQL undid one of several transactions so that the others go on
TIMES_SENT_BACK = 5
logger = logging.getLogger("waypost.ledger")


class LedgerBehind(RuntimeError):
    """The database's schema is not the one this version of Waypost expects."""


class NotRecorded(RuntimeError):
    """The ledger could not be written. What was sent is in the provider's hands, nothing more is."""


class CommitLost(RuntimeError):
    """The connection was lost while a transaction was committed: nobody knows whether it was. See
    lost_commits.py."""


class Ledger(ABC):
    """A database with the ledger's tables. Open it with `open_ledger`.

    lease: how long a batch is its holder's without a sign of life.
    """

    def __init__(self, lease: timedelta, is_postgres: bool) -> None:
        self.lease = lease
        self.is_postgres = is_postgres
        self.given_up = False
        self.waiting_since: float | None = None

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """What `work` answers from one moment of the ledger; it changes nothing."""

    async def browse(self, work: Work[T]) -> T:
        """Like `read`, for what may look through a large part of the ledger: only BROWSERS do that at once,
        so that all other reads and writes go by."""
        return await self.read(work)

    @abstractmethod
    async def write(self, work: Work[T]) -> T:
        """Run `work` as one transaction: all of it is durable when this returns, or none of it. `work` is
        called again when the database undid it for another's sake, or lost it before its commit."""

    @abstractmethod
    async def close(self) -> None:
        """Give back every connection."""

    async def persist(self, work: Work[T]) -> T:
        """Like `write`, and again until the database takes it: what is down, read-only or full is waited
        out. `work` must be harmless to repeat, as a commit whose answer was lost is repeated too.

        Raises NotRecorded when waiting was given up, and what `work` itself did wrong.
        """
        wait = 0.05
        while True:
            try:
                answer = await self.write(work)
            except Exception as error:
                if not passes(error):
                    raise
                if self.given_up:
                    raise NotRecorded(f"the ledger could not be written: {type(error).__name__}") from None
                self._note(error)
            else:
                self.waiting_since = None
                return answer
            await asyncio.sleep(wait)
            wait = min(wait * 2, 1.0)

    def give_up(self) -> None:
        """Stop waiting for a database that does not come back: `persist` raises from now on, and nothing
        waits for an answer longer than a moment."""
        self.given_up = True

    def _note(self, error: Exception) -> None:
        if self.waiting_since is None:
            self.waiting_since = asyncio.get_running_loop().time()
            if isinstance(error, FileReplaced):
                logger.error("%s", error)
                return
            logger.error(
                "the ledger cannot be written (%s): nothing is sent until it can",
                type(getattr(error, "orig", None) or error).__name__,
            )

    def insert(self, table: sa.Table) -> Any:
        """INSERT with ON CONFLICT, which SQLAlchemy keeps in each dialect of its own."""
        return postgresql.insert(table) if self.is_postgres else sqlite.insert(table)

    async def check_schema(self) -> None:
        """Raise LedgerBehind unless the schema is this version's, LedgerUnreachable where a server does not
        let us ask it."""
        found = await self.read(self._revision)
        if found != migrate.head():
            raise LedgerBehind(
                f"the ledger's schema is {found or 'empty'}, this version needs {migrate.head()}: "
                "run `waypost db upgrade`"
            )

    async def upgrade(self) -> None:
        """Bring the schema to this version. Safe to run again, and by two processes at once. Raises
        LedgerUnreachable."""

        def work(connection: sa.Connection) -> None:
            if self.is_postgres:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7496)"))
            if self._revision(connection) != migrate.head():
                migrate.upgrade(connection)

        await self.write(work)

    def _revision(self, connection: sa.Connection) -> str | None:
        """The revision of the schema; None without one."""
        return migrate.revision(connection)


class PostgresLedger(Ledger):
    """A ledger that many workers share."""

    def __init__(self, engine: AsyncEngine, lease: timedelta, named: Mapping[str, Any]) -> None:
        """named: what the URL names for asyncpg.connect."""
        super().__init__(lease, is_postgres=True)
        self.engine = engine
        self._watch = Watch(engine.url, named, is_over=lambda: self.given_up)
        self._browsing = asyncio.Semaphore(BROWSERS)
        self._connecting: set[asyncio.Timeout] = set()

    async def read(self, work: Work[T]) -> T:
        return await self._transact(work)

    async def browse(self, work: Work[T]) -> T:
        async with self._browsing:
            return await self._transact(work)

    async def write(self, work: Work[T]) -> T:
        return await self._transact(work)

    async def check_schema(self) -> None:
        with reached(self.engine.url):
            await super().check_schema()

    async def upgrade(self) -> None:
        with reached(self.engine.url):
            await super().upgrade()

    def _revision(self, connection: sa.Connection) -> str | None:
        found = super()._revision(connection)
        check_fit(connection, self.engine.url, creates=found != migrate.head())
        return found

    async def _transact(self, work: Work[T]) -> T:
        """Whoever is sent back for others to pass waits a little, by chance: or all would meet again."""
        for times in range(TIMES_SENT_BACK):
            try:
                return await self._on_a_live_connection(work)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in SENT_BACK:
                    raise
            await asyncio.sleep(random.uniform(0.0, 0.02) * 2**times)
        return await self._on_a_live_connection(work)

    async def _on_a_live_connection(self, work: Work[T]) -> T:
        """A pooled connection may have been lost while it lay there (asking each first would cost more
        than what is asked of it): what it had not begun to commit is done over once, on a new one."""
        for tries in (1, 2):
            committing = False
            try:
                async with self._connected() as connection:
                    with self._watch.over(connection):
                        transaction = await connection.begin()
                        try:
                            answer = await connection.run_sync(work)
                        except Exception:
                            with suppress(DBAPIError):  # what `work` met is what is told
                                await transaction.rollback()
                            raise
                        committing = True
                        await transaction.commit()
                        return answer
            except DBAPIError as error:
                if committing and error.connection_invalidated:
                    raise CommitLost(
                        f"the connection was lost with a commit: {type(error.orig).__name__}"
                    ) from None
                if not error.connection_invalidated or tries > 1:
                    raise
        raise AssertionError("one of two tries returns or raises")

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[AsyncConnection]:
        """A connection of the pool. Giving up ends the wait for one too."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(PARTING_SECONDS if self.given_up else None) as limit:
                self._connecting.add(limit)
                try:
                    connection = await stack.enter_async_context(self.engine.connect())
                finally:
                    self._connecting.discard(limit)
            yield connection

    def give_up(self) -> None:
        super().give_up()
        self._watch.give_up()
        for limit in self._connecting:
            limit.reschedule(asyncio.get_running_loop().time() + PARTING_SECONDS)

    async def close(self) -> None:
        # A server that was given up hears no goodbye: each connection would wait a second for its answer.
        await self.engine.dispose(close=not self.given_up)


class SqliteLedger(Ledger):
    """A ledger in a file. SQLite has one writer: waiting for it in a queue costs nothing, waiting in
    SQLite is a sleep and a retry."""

    def __init__(self, engine: sa.Engine, lease: timedelta) -> None:
        super().__init__(lease, is_postgres=False)
        self.engine = engine
        self.file = LedgerFile(engine)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="ledger-read")
        self._browsers = ThreadPoolExecutor(BROWSERS, thread_name_prefix="ledger-browse")

    async def read(self, work: Work[T]) -> T:
        return await self._in(self._readers, work)

    async def browse(self, work: Work[T]) -> T:
        return await self._in(self._browsers, lambda connection: within(BROWSING_SECONDS, connection, work))

    async def write(self, work: Work[T]) -> T:
        return await self._in(self._writer, work, writes=True)

    async def _in(self, pool: ThreadPoolExecutor, work: Work[T], *, writes: bool = False) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, self._transact, work, writes)

    def _transact(self, work: Work[T], writes: bool) -> T:
        self.file.look_now_and_then()
        with self.engine.connect() as connection:
            connection.execution_options(waypost_writes=writes)
            with connection.begin():
                answer = work(connection)
                if writes:
                    self.file.look()
                return answer

    async def close(self) -> None:
        # In a thread: a write may be waiting for another process.
        for pool in (self._writer, self._readers, self._browsers):
            await asyncio.to_thread(pool.shutdown)
        self.engine.dispose()


def within(seconds: float, connection: sa.Connection, work: Work[T]) -> T:
    """What `work` answers over a connection to SQLite. Raises OperationalError when it takes longer."""
    raw: Any = connection.connection.driver_connection
    ends = time.monotonic() + seconds
    raw.set_progress_handler(lambda: time.monotonic() > ends, STEPS_BETWEEN_LOOKS)
    try:
        return work(connection)
    finally:
        raw.set_progress_handler(None, 0)


def passes(error: Exception) -> bool:
    """Whether a failed write may be the database's trouble (down, full, read-only, busy) and pass by
    itself, and not the fault of what was to be written."""
    if isinstance(error, (IntegrityError, DataError)):
        return False
    if str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith(("22", "23", "54")):
        # Data the database will never take: classes 22 and 23 of the SQL standard, and PostgreSQL's 54.
        return False
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, (DBAPIError, PoolTimeout))
    return isinstance(error, (CommitLost, *NOT_CONNECTED))


def is_outage(error: Exception) -> bool:
    """Whether it is the database's trouble, and not the fault of what was to be read or written."""
    return isinstance(error, NotRecorded) or passes(error)


OPTIONS: dict[str, Any] = {
    "json_serializer": as_json,
    "json_deserializer": orjson.loads,
    "hide_parameters": True,  # addresses and facts stay out of database errors
}


def open_ledger(url: str, lease: timedelta = LEASE, patience: timedelta | None = None) -> Ledger:
    """The ledger at `url` (an SQLAlchemy URL). Connects on first use.

    patience: how long work may wait for a lock or a connection until it fails, as where somebody waits for an
    answer; unset, 30 s for what has no end of its own.

    Raises ValueError, which never repeats a password, when it cannot be read as one.
    """
    if not url.startswith("sqlite"):
        place, named = postgres_url.read(url)
        options: dict[str, Any] = {"connect_args": impatient(patience, named), **OPTIONS}
        if patience is not None:
            options["pool_timeout"] = patience.total_seconds()
        engine = create_async_engine(place, pool_size=4, max_overflow=4, **options)
        return PostgresLedger(engine, lease, named)
    engine = sa.create_engine(url, **OPTIONS)
    tune_sqlite(engine, patience or BUSY, lambda: ledger.given_up)
    ledger = SqliteLedger(engine, lease)
    return ledger


@asynccontextmanager
async def opened(settings: Settings, patience: timedelta | None = None) -> AsyncGenerator[Ledger]:
    """The ledger that `settings` name, for the length of the block."""
    ledger = open_ledger(settings.ledger_url, settings.lease, patience)
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def checked(settings: Settings, patience: timedelta | None = None) -> AsyncGenerator[Ledger]:
    """Like `opened`, once its schema is known to be this version's. Raises LedgerBehind."""
    async with opened(settings, patience) as ledger:
        await ledger.check_schema()
        yield ledger
