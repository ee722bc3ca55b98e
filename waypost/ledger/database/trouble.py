"""What an error of the ledger means, and what to do about it."""

from __future__ import annotations

import sqlite3
from typing import Any

from waypost.ledger.database.lost_file import LedgerMissing
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.unreachable import KEY_FAULTS

_FULL = "the disk of the ledger is full: free some space"
_READ_ONLY = "the ledger is read-only: make its disk and file writable, or use PostgreSQL's primary server"
_LOCKED = "another process has locked the ledger: end that process, or wait for it"
_NO_RIGHTS = (
    "the database role may not write to the ledger's tables: as their owner, GRANT SELECT, INSERT, UPDATE, "
    "DELETE ON ALL TABLES IN SCHEMA public TO that role"
)
_NO_TABLES = "the ledger has no tables of this version: run `waypost db upgrade`, or restore its backup"
_AWAY = "the ledger does not respond: start its database, or check WAYPOST_DATABASE_URL"

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


def trouble(error: BaseException) -> str:
    """A sentence about an error of the ledger: what is wrong, and what to do."""
    original: Any = getattr(error, "orig", None) or error
    if isinstance(original, (FileReplaced, LedgerMissing, *KEY_FAULTS)):
        return str(original)
    match original:
        case sqlite3.Error():
            code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            return _SQLITE.get(code) or f"the ledger cannot be written ({original.sqlite_errorname})"
        case OSError() | TimeoutError():
            return _AWAY
        case _:
            state = getattr(original, "sqlstate", None)
            return _SQLSTATES.get(state or "") or f"{_AWAY} ({type(original).__name__})"
