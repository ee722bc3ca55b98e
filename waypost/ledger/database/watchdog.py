"""Finds silent PostgreSQL connections: a network can drop a connection without either side noticing.

No time limit can tell that from a running migration, so a second connection asks the server about a
transaction that takes long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

SILENT_AFTER = 10.0  # seconds a transaction may take before the server is asked about it
ANSWERS_WITHIN = 5.0  # seconds to connect, and to answer that question
CLOSE_WITHIN = 1.0  # seconds to answer a goodbye
PARTING_SECONDS = 0.5  # for a connection, and for a transaction, once the database was given up

logger = logging.getLogger("waypost.ledger")


class Connection(asyncpg.Connection):  # pyright: ignore[reportUntypedBaseClass, reportMissingTypeArgument]
    """A connection that closes quickly, however silent the server is."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own
        parent: Any = super()
        with suppress(TimeoutError):  # it is cut off then
            await parent.close(timeout=min(timeout or CLOSE_WITHIN, CLOSE_WITHIN))

    async def remove_listener(self, channel: str, callback: Callable[..., Any]) -> None:
        parent: Any = super()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await parent.remove_listener(channel, callback)
        except TimeoutError:
            self.terminate()


CONNECT: dict[str, Any] = {
    "connection_class": Connection,
    "timeout": ANSWERS_WITHIN,
    # Makes the server end a backend whose client was lost during a transaction: it would keep its locks.
    "server_settings": {"idle_in_transaction_session_timeout": str(int(3_000 * SILENT_AFTER))},
}


def with_timeouts(patience: timedelta | None, named: Mapping[str, Any]) -> dict[str, Any]:
    """CONNECT with the arguments from the URL. A statement fails after waiting `patience` for a lock, or
    after running for four times as long."""
    if patience is None:
        return {**CONNECT, **named}
    wait = patience // timedelta(milliseconds=1)
    limits = {"lock_timeout": str(wait), "statement_timeout": str(4 * wait)}
    return {**CONNECT, **named, "server_settings": {**CONNECT["server_settings"], **limits}}


# A backend that has long waited for its client has finished the statement, and its response was lost.
_AT_WORK = sa.text(
    "SELECT state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'"
    " OR state_change > clock_timestamp() - make_interval(secs => :long)"
    " FROM pg_stat_activity WHERE pid = :pid"
)


class ConnectionWatchdog:
    """Terminates silent connections.

    connect: the arguments for asyncpg.connect besides `url`. is_over: whether to stop waiting, even for a
    backend that still works.
    """

    def __init__(self, url: sa.URL, connect: Mapping[str, Any], is_over: Callable[[], bool]) -> None:
        self._aside = create_async_engine(url, poolclass=NullPool, connect_args={**CONNECT, **connect})
        self._is_over = is_over
        self._watched: set[AsyncConnection] = set()

    @contextmanager
    def over(self, connection: AsyncConnection) -> Generator[None]:
        """Watch `connection` during the block. If it is found silent, the call that waits for it fails as if
        the connection were lost."""
        loop = asyncio.get_running_loop()
        asking: asyncio.Task[None] | None = None

        def begin() -> None:
            nonlocal asking
            asking = loop.create_task(self._cut_off_when_silent(_raw(connection)))

        timer = loop.call_later(PARTING_SECONDS if self._is_over() else SILENT_AFTER, begin)
        self._watched.add(connection)
        try:
            yield
        finally:
            self._watched.discard(connection)
            timer.cancel()
            if asking is not None:
                asking.cancel()

    def give_up(self) -> None:
        """Terminate, a moment from now, the watched connections: their calls fail as if they were lost."""
        asyncio.get_running_loop().call_later(PARTING_SECONDS, self._cut_off, set(self._watched))

    def _cut_off(self, waiting: set[AsyncConnection]) -> None:
        for connection in waiting & self._watched:
            if raw := _raw(connection):
                raw.terminate()

    async def _cut_off_when_silent(self, raw: Any) -> None:
        while True:
            if self._is_over() or not await self._at_work(raw.get_server_pid()):
                break
            await asyncio.sleep(SILENT_AFTER)
        logger.warning("the ledger's database does not respond; reconnecting")
        raw.terminate()

    async def _at_work(self, pid: int) -> bool:
        """Whether the server says that its backend `pid` still works; False when it does not respond."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN), self._aside.connect() as connection:
                return bool(await connection.scalar(_AT_WORK, {"pid": pid, "long": SILENT_AFTER / 2}))
        except asyncpg.PostgresError:
            return True  # the server responds, if only that it has no free connection
        except Exception:  # asyncpg's connect errors have no common class
            return False


def _raw(connection: AsyncConnection) -> Any:
    """asyncpg's own connection below `connection`."""
    below = connection.sync_connection
    return None if below is None else below.connection.driver_connection
