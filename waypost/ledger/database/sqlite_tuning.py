"""How connections to SQLite are set up, and how they wait for its one writer."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

GLANCE = timedelta(milliseconds=500)  # how often a wait for the writer checks `is_over`


def tune_sqlite(engine: sa.Engine, busy: timedelta, is_over: Callable[[], bool]) -> None:
    """Make every commit durable, and let no write fail halfway because another one began in between.

    busy: how long to wait for other writers. is_over: whether to stop waiting.
    """
    waits = f"PRAGMA busy_timeout={busy // timedelta(milliseconds=1)}"

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute(waits)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        # A write that begins as a read can fail half way with "database is locked"; this cannot.
        if not connection.get_execution_options().get("waypost_writes", False):
            connection.exec_driver_sql("BEGIN")
            return
        until = time.monotonic() + busy.total_seconds()
        raw: Any = connection.connection.driver_connection
        raw.execute(f"PRAGMA busy_timeout={GLANCE // timedelta(milliseconds=1)}")
        try:
            while not _begun(connection, last=is_over() or time.monotonic() > until):
                pass
        finally:
            raw.execute(waits)


def _begun(connection: sa.Connection, last: bool) -> bool:
    """Try for a moment to become the one writer. SQLite waits in a thread, which cannot be cancelled: so each
    wait is short. last: raise the error that the database is busy."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if last or getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
