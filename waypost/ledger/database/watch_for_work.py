"""Noticing new work at once and at little cost: LISTEN and NOTIFY on PostgreSQL, polling a counter in memory
on SQLite."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.open_elsewhere import HERE
from waypost.ledger.database.outages import outages
from waypost.ledger.database.postgres import PostgresLedger
from waypost.ledger.database.signal_work import CHANNEL
from waypost.ledger.database.sqlite import SqliteLedger
from waypost.ledger.database.watchdog import ANSWERS_WITHIN
from waypost.system.waiting import wait_for

WEBHOOKS = "waypost_webhooks"  # notified by the trigger that makes webhook events
GLANCE_SECONDS = 0.05  # between two looks at SQLite's counter, about 20 microseconds each
RETRY_SECONDS = 1.0
ASK_SECONDS = 15.0  # between two checks of a listening connection

logger = logging.getLogger("waypost.ledger")


@asynccontextmanager
async def watching(ledger: Ledger, wake: Callable[[], None], channel: str = CHANNEL) -> AsyncGenerator[None]:
    """Call `wake` whenever the ledger may hold new work, while the block runs. It may be called without
    new work, and late after an outage of the database: so poll now and then, too.
    channel: the PostgreSQL channel to listen on."""
    match ledger:
        case PostgresLedger():
            watch = _listen(ledger, wake, channel)
        case SqliteLedger():
            watch = _glance(ledger, wake)
        case _:
            yield
            return
    task = asyncio.create_task(watch)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _listen(ledger: PostgresLedger, wake: Callable[[], None], channel: str) -> None:
    """Listen on a separate connection, and reconnect when it is lost."""

    away = False
    while True:
        try:
            async with ledger.engine.connect() as connection:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                if away:
                    logger.info("the ledger responds again")
                away = False
                try:
                    await _until_lost(raw, wake, channel)
                finally:
                    await connection.invalidate()  # the pool must not reuse a lost connection
        except Exception as error:  # asyncpg's connect errors have no common class
            if not away:  # logged once, as each second is a retry
                outages.tell(error)
                logger.warning("new work is noticed late until the ledger responds")
            away = True
        await asyncio.sleep(RETRY_SECONDS)


async def _until_lost(raw: Any, wake: Callable[[], None], channel: str) -> None:
    lost = asyncio.Event()

    def on_notice(*_: Any) -> None:
        wake()

    def on_end(_: Any) -> None:
        lost.set()

    raw.add_termination_listener(on_end)
    await raw.execute(HERE)
    await raw.add_listener(channel, on_notice)
    wake()  # for notices sent before this connection listened
    try:
        while not await wait_for(lost, ASK_SECONDS):
            await _ask(raw)
    finally:
        raw.remove_termination_listener(on_end)
        if not raw.is_closed():
            await raw.remove_listener(channel, on_notice)


async def _ask(raw: Any) -> None:
    """Check the connection: one that only listens would never notice that the network dropped it."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await raw.execute("SELECT 1")
    except TimeoutError:
        raw.terminate()
        raise


async def _glance(ledger: SqliteLedger, wake: Callable[[], None]) -> None:
    """Poll on a separate connection, and reconnect when it fails."""
    away = False

    def answered() -> None:
        nonlocal away
        if away:
            logger.info("the ledger responds again")
        away = False

    while True:
        try:
            with ledger.engine.connect() as connection:
                try:
                    await _until_unreadable(ledger, connection, wake, answered)
                except (sqlite3.Error, OSError):
                    connection.invalidate()
                    raise
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            if not away:
                outages.tell(error)
                if not outages.lost:
                    logger.warning("new work is noticed late until the ledger can be read")
            away = True
        await asyncio.sleep(RETRY_SECONDS)


async def _until_unreadable(
    ledger: SqliteLedger, connection: sa.Connection, wake: Callable[[], None], answered: Callable[[], None]
) -> None:
    """`PRAGMA data_version` changes when another connection commits; it reads shared memory only."""
    raw: Any = connection.connection.driver_connection
    seen = None
    while True:
        ledger.file.look_now_and_then()
        found = raw.execute("PRAGMA data_version").fetchone()[0]
        answered()
        if found != seen:
            seen = found
            wake()
        await asyncio.sleep(GLANCE_SECONDS)
