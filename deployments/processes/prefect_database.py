"""The embedded Prefect server's database: a SQLite file with many readers and one writer at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class OneWriter(AioSqliteConfiguration):
    """Prefect's configuration for SQLite, with a queue for transactions that write.

    Prefect begins each transaction as a reader. When two of them go on to write, SQLite fails the second at
    once, because waiting could not help (SQLITE_BUSY_SNAPSHOT): Prefect answers 503, its client sleeps 2 s.
    Here a transaction waits for its turn and begins as a writer. Sessions without a transaction read
    meanwhile (write-ahead log).
    """

    def __init__(self, connection_url: str) -> None:
        super().__init__(connection_url)
        self._turn = asyncio.Lock()
        self._writer: asyncio.Task[Any] | None = None

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction]:
        """A transaction for the length of the block, committed at its end."""
        if self._writer is asyncio.current_task():  # a second session inside the first can only read
            async with super().begin_transaction(session) as inner:
                yield inner
            return
        async with self._turn:
            self._writer = asyncio.current_task()
            try:
                async with session.begin() as transaction:
                    await _begin_as_writer(session)
                    yield transaction
            finally:
                self._writer = None


async def _begin_as_writer(session: AsyncSession) -> None:
    """Set the mode for this BEGIN only: a session opened before the commit would wait for its own writer."""
    mode = SQLITE_BEGIN_MODE.set("IMMEDIATE")
    try:
        await session.connection()
    finally:
        SQLITE_BEGIN_MODE.reset(mode)
