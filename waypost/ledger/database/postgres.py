"""The ledger on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waypost.ledger.database import migrate
from waypost.ledger.database.ledger import CommitLost, Ledger, T, Work, leaving
from waypost.ledger.database.postgres_connection import check_fit, reached
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.sqlite import BROWSERS
from waypost.ledger.database.watchdog import PARTING_SECONDS, ConnectionWatchdog

RETRYABLE_SQLSTATES = (
    "40001",
    "40P01",
)  # PostgreSQL rolled back one of several transactions so that the others go on
RETRIES = 5


class PostgresLedger(Ledger):
    """A ledger that many workers share."""

    def __init__(
        self, engine: AsyncEngine, lease: timedelta, sealing: Sealing, named: Mapping[str, Any]
    ) -> None:
        """named: the arguments for asyncpg.connect from the URL."""
        super().__init__(lease, sealing, is_postgres=True)
        self.engine = engine
        self._watch = ConnectionWatchdog(engine.url, named, is_over=lambda: self.given_up)
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
        with leaving():
            return await self._until_it_passes(work)

    async def _until_it_passes(self, work: Work[T]) -> T:
        """Retry a transaction rolled back for others, after a random pause that avoids another collision."""
        for times in range(RETRIES):
            try:
                return await self._on_a_live_connection(work)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in RETRYABLE_SQLSTATES:
                    raise
            await asyncio.sleep(random.uniform(0.0, 0.02) * 2**times)
        return await self._on_a_live_connection(work)

    async def _on_a_live_connection(self, work: Work[T]) -> T:
        """A pooled connection may have been lost while idle (checking each one first would cost more than the
        work). A transaction that had not begun to commit is retried once, on a new connection."""
        for tries in (1, 2):
            committing = False
            try:
                async with self._connected() as connection:
                    with self._watch.over(connection):
                        transaction = await connection.begin()
                        try:
                            answer = await connection.run_sync(work)
                        except Exception:
                            with suppress(DBAPIError):  # the error of `work` is raised
                                await transaction.rollback()
                            raise
                        committing = True
                        await transaction.commit()
                        return answer
            except DBAPIError as error:
                if committing and error.connection_invalidated:
                    raise CommitLost(
                        f"the connection was lost during a commit: {type(error.orig).__name__}"
                    ) from None
                if not error.connection_invalidated or tries > 1:
                    raise
        raise AssertionError("one of two tries returns or raises")

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[AsyncConnection]:
        """A connection of the pool. `give_up` ends the wait for it too."""
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
        # No goodbye to a server that was given up: each connection would wait a second for the response.
        await self.engine.dispose(close=not self.given_up)
