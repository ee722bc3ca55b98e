"""The connection to the ledger's database: one way to read, one way to write, on both databases.

Work is a plain function over a connection, run as one transaction: inside a greenlet on PostgreSQL, as
one step of a thread on SQLite.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from waypost.ledger.database import migrate
from waypost.ledger.database.lock_numbers import UPGRADE
from waypost.ledger.database.outages import outages
from waypost.ledger.database.sealing import Sealing, is_address_in_clear
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.tolerant import is_undecodable
from waypost.ledger.database.unreachable import OtherDataKey, OtherKey
from waypost.system.ledger_waits import asking
from waypost.system.outage import Outage, mark

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

LEASE = timedelta(seconds=30)
BUSY = timedelta(seconds=30)  # for SQLite's one writer
logger = logging.getLogger("waypost.ledger")


class LedgerBehind(RuntimeError):
    """The database's schema is not the one this version of Waypost expects."""


class NotRecorded(Outage, RuntimeError):
    """The ledger could not be written. Messages already sent are with the provider; no more are sent."""


class CommitLost(Outage, RuntimeError):
    """The connection was lost during a commit: it is unknown whether the transaction was committed. See
    commit_recovery.py."""


class FileLostWithCommit(CommitLost, FileReplaced):
    """The ledger's file was lost during a commit. It is unknown whether the transaction was committed until a
    person has put the file back; until then, retrying is useless."""


class Ledger(ABC):
    """A database with the ledger's tables. Open it with `open_ledger`.

    lease: how long a batch stays with its holder without a heartbeat. sealing: of its personal data.
    """

    def __init__(self, lease: timedelta, sealing: Sealing, is_postgres: bool) -> None:
        self.lease = lease
        self.sealing = sealing
        self.is_postgres = is_postgres
        self.given_up = False
        self.waiting_since: float | None = None

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """Run `work`, which changes nothing, in one transaction. Returns its result."""

    async def browse(self, work: Work[T]) -> T:
        """Like `read`, for work that may scan a large part of the ledger: at most BROWSERS of these run at
        once, so that they do not hold up other reads and writes."""
        return await self.read(work)

    @abstractmethod
    async def write(self, work: Work[T]) -> T:
        """Run `work` as one transaction: all of it is durable when this returns, or none of it. `work` is
        called again when the database rolled it back in favour of another, or lost it before its commit."""

    @abstractmethod
    async def close(self) -> None:
        """Close every connection."""

    async def stored_key(self, key: str) -> str:
        """The key under which the ledger keeps the recipient `key`: an address is hashed."""
        if not is_address_in_clear(key):
            return key
        found = await self.read(lambda connection: self.sealing.known_key(connection, key))
        return found or await self.write(lambda connection: self.sealing.stored_key(connection, key))

    async def write_until_durable(self, work: Work[T]) -> T:
        """Like `write`, but retries until `work` is durable, while the database is down, read-only or full.
        `work` must be safe to repeat, as a commit whose response was lost is repeated too.

        Raises NotRecorded when waiting was given up, and errors that are the fault of `work`.
        """
        with asking():
            return await self._until_taken(work)

    async def _until_taken(self, work: Work[T]) -> T:
        wait = 0.05
        while True:
            try:
                answer = await self.write(work)
            except Exception as error:
                if not is_transient(error):
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
        """Stop waiting for a database that does not come back: `write_until_durable` raises from now on, and
        no call waits longer than a moment for a response."""
        self.given_up = True

    def _note(self, error: Exception) -> None:
        if self.waiting_since is None:
            self.waiting_since = asyncio.get_running_loop().time()
            outages.tell(error)
            if not outages.lost:
                logger.error("nothing is sent until the ledger can be written")

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that supports ON CONFLICT: SQLAlchemy has one for each dialect."""
        return postgresql.insert(table) if self.is_postgres else sqlite.insert(table)

    async def check_schema(self) -> None:
        """Raise LedgerBehind unless the schema is this version's, LedgerUnreachable where a server
        refuses the query, LedgerMissing where SQLite's file does not exist."""
        found = await self.read(self._revision)
        if found != migrate.head():
            raise LedgerBehind(
                f"the ledger's schema is {found or 'empty'}, but this version needs "
                f"{migrate.head()}: run `waypost db upgrade`"
            )

    async def upgrade(self) -> None:
        """Bring the schema to this version. Safe to run again, and by two processes at once. Raises
        LedgerUnreachable, and LedgerMissing where a SQLite ledger was lost."""

        def work(connection: sa.Connection) -> None:
            if self.is_postgres:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE)))
            if self._revision(connection) != migrate.head():
                migrate.upgrade(connection)

        await self.write(work)

    def _revision(self, connection: sa.Connection) -> str | None:
        """The revision of the schema; None without one."""
        return migrate.revision(connection)


@contextmanager
def leaving() -> Generator[None]:
    """Around a transaction: mark an error that the database caused as an outage, when it leaves the ledger.
    Errors of the same classes that other code raises are not marked."""
    try:
        with asking():
            yield
    except Exception as error:
        if is_transient(error):
            mark(error)
        raise


def is_transient(error: Exception) -> bool:
    """Whether the database may have caused a transaction's error (down, full, read-only, busy), so that it
    can pass, and not the data to be written. For code inside a transaction; see `is_outage`."""
    if isinstance(error, (IntegrityError, DataError, OtherKey, OtherDataKey)) or is_undecodable(error):
        return False
    if str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith(("22", "23", "54")):
        # Data that the database will never store: classes 22 and 23 of the SQL standard, and PostgreSQL's 54.
        return False
    if isinstance(error, SQLAlchemyError):
        return isinstance(error, (DBAPIError, PoolTimeout))
    # Imported here, at the first error: a ledger on SQLite needs no asyncpg.
    from waypost.ledger.database.postgres_connection import NOT_CONNECTED

    return isinstance(error, (CommitLost, *NOT_CONNECTED))
