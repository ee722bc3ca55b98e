"""PostgreSQL that goes silent: a network can swallow a connection so that neither side learns of it.

No time limit would tell that from a migration at work, so the server is asked, by another connection,
about what takes long.
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

SILENT_AFTER = 10.0  # seconds a transaction may take before the server is asked whether it is at it
ANSWERS_WITHIN = 5.0  # seconds to connect, and to answer that question
FAREWELL_WITHIN = 1.0  # seconds to answer a goodbye
PARTING_SECONDS = 0.5  # for a connection, and for a transaction, once the database was given up

logger = logging.getLogger("waypost.ledger")


class Connection(asyncpg.Connection):  # pyright: ignore[reportUntypedBaseClass, reportMissingTypeArgument]
    """A connection that can be left, however silent the server is."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own
        parent: Any = super()
        with suppress(TimeoutError):  # it is cut off then
            await parent.close(timeout=min(timeout or FAREWELL_WITHIN, FAREWELL_WITHIN))

    async def remove_listener(self, channel: str, callback: Callable[..., Any]) -> None:
        parent: Any = super()
        try:
            async with asyncio.timeout(FAREWELL_WITHIN):
                await parent.remove_listener(channel, callback)
        except TimeoutError:
            self.terminate()


CONNECT: dict[str, Any] = {
    "connection_class": Connection,
    "timeout": ANSWERS_WITHIN,
    # A backend whose client is lost in the middle of a transaction holds its locks: the server ends it.
    "server_settings": {"idle_in_transaction_session_timeout": str(int(3_000 * SILENT_AFTER))},
}


def with_timeouts(patience: timedelta | None, named: Mapping[str, Any]) -> dict[str, Any]:
    """CONNECT with what the URL names, and statements that end in an error once they have waited so long for
    a lock, or four times as long for anything."""
    if patience is None:
        return {**CONNECT, **named}
    wait = patience // timedelta(milliseconds=1)
    limits = {"lock_timeout": str(wait), "statement_timeout": str(4 * wait)}
    return {**CONNECT, **named, "server_settings": {**CONNECT["server_settings"], **limits}}


# A backend that has long waited for its client has done what was asked, and the answer was lost.
_AT_WORK = sa.text(
    "SELECT state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'"
    " OR state_change > clock_timestamp() - make_interval(secs => :long)"
    " FROM pg_stat_activity WHERE pid = :pid"
)


class ConnectionWatchdog:
    """Makes a silent connection a lost one.

    connect: what asyncpg.connect is given beside `url`. is_over: says that nothing is waited for any more,
    not even a backend that is at work for ever.
    """

    def __init__(self, url: sa.URL, connect: Mapping[str, Any], is_over: Callable[[], bool]) -> None:
        self._aside = create_async_engine(url, poolclass=NullPool, connect_args={**CONNECT, **connect})
        self._is_over = is_over
        self._watched: set[AsyncConnection] = set()

    @contextmanager
    def over(self, connection: AsyncConnection) -> Generator[None]:
        """Watch `connection` for the length of the block: what waits for it when it is found silent fails
        like what loses its connection."""
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
        """Cut off, a moment from now, what is under way: it fails like what loses its connection."""
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
        logger.warning("the ledger's database has gone silent: connecting anew")
        raw.terminate()

    async def _at_work(self, pid: int) -> bool:
        """Whether the server says so of its backend `pid`; False when it says nothing."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN), self._aside.connect() as connection:
                return bool(await connection.scalar(_AT_WORK, {"pid": pid, "long": SILENT_AFTER / 2}))
        except asyncpg.PostgresError:
            return True  # it answers, if only that it has no connection to spare
        except Exception:  # asyncpg's connect errors have no common class
            return False


def _raw(connection: AsyncConnection) -> Any:
    """asyncpg's own connection below `connection`."""
    below = connection.sync_connection
    return None if below is None else below.connection.driver_connection
