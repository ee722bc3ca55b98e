"""The ledger on SQLite."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database.ledger import FileLostWithCommit, Ledger, T, Work, leaving
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.sqlite_file import FileReplaced, LedgerFile

READERS = 4  # reader threads
BROWSERS = 2  # long reads at once
BROWSING_SECONDS = 20.0  # limit of a long read on SQLite; PostgreSQL has its statement_timeout
STEPS_BETWEEN_LOOKS = 100_000  # SQLite instructions between two looks at the clock: some milliseconds


class SqliteLedger(Ledger):
    """A ledger in a file. SQLite has one writer: waiting for it in a queue costs nothing, while waiting in
    SQLite means sleeping and retrying."""

    def __init__(
        self, engine: sa.Engine, lease: timedelta, sealing: Sealing, home: Path | None = None
    ) -> None:
        super().__init__(lease, sealing, is_postgres=False)
        self.engine = engine
        self.file = LedgerFile(engine, home)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="ledger-read")
        self._browsers = ThreadPoolExecutor(BROWSERS, thread_name_prefix="ledger-browse")

    async def read(self, work: Work[T]) -> T:
        return await self._in(self._readers, work)

    async def browse(self, work: Work[T]) -> T:
        return await self._in(self._browsers, lambda connection: within(BROWSING_SECONDS, connection, work))

    async def write(self, work: Work[T]) -> T:
        return await self._in(self._writer, work, writes=True)

    async def upgrade(self) -> None:
        self.file.may_be_made = True
        try:
            await super().upgrade()
        finally:
            self.file.may_be_made = False

    def _revision(self, connection: sa.Connection) -> str | None:
        found = super()._revision(connection)
        if found is None:
            self.file.has_no_tables()
        return found

    async def _in(self, pool: ThreadPoolExecutor, work: Work[T], *, writes: bool = False) -> T:
        with leaving():
            return await asyncio.get_running_loop().run_in_executor(pool, self._transact, work, writes)

    def _transact(self, work: Work[T], writes: bool) -> T:
        self.file.look_now_and_then()
        with self.engine.connect() as connection:
            connection.execution_options(waypost_writes=writes)
            with connection.begin():
                answer = work(connection)
                if writes:
                    self.file.look()
            if writes:
                self._look_after_commit()
            return answer

    def _look_after_commit(self) -> None:
        """Raises FileLostWithCommit."""
        try:
            self.file.look_after_commit()
        except FileReplaced as lost:
            raise FileLostWithCommit(str(lost)) from None

    async def close(self) -> None:
        # In a thread: a write may be waiting for another process.
        for pool in (self._writer, self._readers, self._browsers):
            await asyncio.to_thread(pool.shutdown)
        self.engine.dispose()


def within(seconds: float, connection: sa.Connection, work: Work[T]) -> T:
    """Run `work` over a connection to SQLite. Raises OperationalError when it takes longer than `seconds`."""
    raw: Any = connection.connection.driver_connection
    ends = time.monotonic() + seconds
    raw.set_progress_handler(lambda: time.monotonic() > ends, STEPS_BETWEEN_LOOKS)
    try:
        return work(connection)
    finally:
        raw.set_progress_handler(None, 0)
