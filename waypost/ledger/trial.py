"""Whether the ledger takes what a post writes, and what to do where it does not."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from waypost.clock import now
from waypost.ids import new_id
from waypost.ledger.engine import Ledger
from waypost.ledger.ledger_file import FileReplaced
from waypost.ledger.tables import api_keys, idempotency_keys, notifications, recipients
from waypost.states import State

MARK = "waypost:trial"  # the type and the recipient of what is written; no type can have that name

_FULL = "the disk of the ledger is full: free some space on it"
_READ_ONLY = "the ledger is read-only: make its disk and file writable, or name PostgreSQL's primary server"
_LOCKED = "another process keeps the ledger locked: end that process, or wait for it"
_NO_RIGHTS = (
    "the database role may not write to the ledger's tables: as their owner, GRANT SELECT, INSERT, UPDATE, "
    "DELETE ON ALL TABLES IN SCHEMA public TO that role"
)
_NO_TABLES = "the ledger has no tables of this version: run `waypost db upgrade`, or restore its backup"
_AWAY = "the ledger does not answer: start its database, or check WAYPOST_DATABASE_URL"

# By SQLite's primary result code (sqlite.org/rescode.html), and by PostgreSQL's SQLSTATE (its appendix A).
_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_ERROR: _NO_TABLES,
}
_SQLSTATES = {
    "53100": _FULL,
    "25006": _READ_ONLY,
    "42501": _NO_RIGHTS,
    "42P01": _NO_TABLES,
    "42703": _NO_TABLES,
    "55P03": _LOCKED,
    "57014": _LOCKED,
}


async def write_as_a_post_does(ledger: Ledger) -> None:
    """Write what a post writes, delete it again and commit. Raises what a post would meet."""
    await ledger.write(lambda connection: _write(connection, now()))


def _write(connection: sa.Connection, moment: datetime) -> None:
    """In one transaction, so that nothing of it is ever seen: no dispatcher claims it, no webhook tells of
    it."""
    id, key = new_id(), f"{MARK}:{new_id()}"
    connection.execute(sa.select(api_keys.c.id).limit(1))
    connection.execute(sa.insert(recipients).values(client="", key=key, updated_at=moment))
    connection.execute(sa.insert(notifications).values(id=id, recipient_key=key, **_over(moment)))
    connection.execute(
        sa.insert(idempotency_keys).values(
            client="", key=key, notification_id=id, body_hash=b"", began=State.ACCEPTED, created_at=moment
        )
    )
    for table, its_own in (
        (idempotency_keys, idempotency_keys.c.key == key),
        (notifications, notifications.c.id == id),
        (recipients, recipients.c.key == key),
    ):
        connection.execute(sa.delete(table).where(its_own))


def _over(moment: datetime) -> dict[str, Any]:
    """The columns of a notification that has ended."""
    times = {"accepted_at": moment, "due_at": moment, "expires_at": moment, "finished_at": moment}
    return {"type": MARK, "data": {}, "state": State.CANCELLED, "channels": [], **times}


def trouble(error: BaseException) -> str:
    """A sentence about an error of the ledger's: what is wrong, and what to do."""
    original: Any = getattr(error, "orig", None) or error
    match original:
        case FileReplaced():
            return str(original)
        case sqlite3.Error():
            code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            return _SQLITE.get(code) or f"the ledger cannot be written ({original.sqlite_errorname})"
        case OSError() | TimeoutError():
            return _AWAY
        case _:
            state = getattr(original, "sqlstate", None)
            return _SQLSTATES.get(state or "") or f"{_AWAY} ({type(original).__name__})"
