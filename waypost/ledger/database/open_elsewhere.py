"""Finds other processes that have the ledger open, busy or idle: for changes that require them stopped.

A long-running process watches the ledger for new work over a connection of its own. On PostgreSQL that
connection holds an advisory lock. On SQLite any connection keeps others from locking the file exclusively.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.lock_numbers import OPEN
from waypost.ledger.database.lost_file import file_of
from waypost.ledger.database.sqlite import SqliteLedger

PASSING_SECONDS = 2.0  # a short command is waited for

# With the number of a table: a database may hold several ledgers, each in a schema of its own.
HERE = f"SELECT pg_advisory_lock_shared({OPEN}, to_regclass('installation')::oid::int)"
_HOLDERS = sa.text(
    "SELECT DISTINCT coalesce(host(client_addr), 'an unknown host')"
    " FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND objsubid = 2"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = :number AND objid = to_regclass('installation')::oid ORDER BY 1"
).bindparams(number=OPEN)


async def open_elsewhere(ledger: Ledger) -> list[str]:
    """The hosts of other processes that have `ledger` open. This process may not use `ledger` meanwhile."""
    if isinstance(ledger, SqliteLedger):
        return await asyncio.to_thread(_on_this_machine, ledger)
    return await ledger.read(lambda connection: list(connection.scalars(_HOLDERS)))


def _on_this_machine(ledger: SqliteLedger) -> list[str]:
    file = file_of(ledger.engine.url)
    if file is None:
        return []
    ledger.engine.dispose()  # or this process would find itself
    with closing(sqlite3.connect(file, timeout=PASSING_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return ["this machine"]
    return []
