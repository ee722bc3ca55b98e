"""A SQLite ledger whose file does not exist or is empty: the ledger is new, or the old one was lost.

Only `waypost db upgrade` and `waypost up` make the file. If the home shows that Waypost ran before, only the
first does: an empty ledger in place of a lost one would look as if nothing had ever been sent.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import sqlalchemy as sa

from waypost.ledger.database.unreachable import LedgerUnreachable

TRACES = ("secret.key", "running.json", "prefect.db")  # under home; each is made after the ledger's file
# SQLite would apply a leftover write-ahead log to a restored backup, and damage it.
RESTORE = (
    "stop all Waypost processes. Then put the file back, or delete its -wal and -shm files and restore a "
    "backup. To start with an empty ledger instead, without the history, run `waypost db upgrade`"
)
MAKE = (
    "start `waypost up`, or create a ledger with `waypost db upgrade`; WAYPOST_HOME and "
    "WAYPOST_DATABASE_URL say where"
)


class LedgerMissing(LedgerUnreachable):
    """The ledger's file does not exist, and opening the ledger did not create it."""


def file_of(url: sa.URL) -> Path | None:
    """The file that SQLAlchemy's URL of a SQLite database names; None for a database in memory."""
    named = url.database or ":memory:"
    if named.startswith("file:"):
        named = unquote(named.removeprefix("file:"))
        if url.query.get("mode") == "memory":
            return None
    return None if named.startswith(":memory:") else Path(named).absolute()


def trace(home: Path | None) -> Path | None:
    """A file which shows that Waypost ran in `home` before; None without one."""
    found = (home / name for name in TRACES) if home else ()
    return next((path for path in found if path.exists()), None)


def missing(file: Path, shows: Path | None) -> LedgerMissing:
    """The error for a file that does not exist. shows: the trace of an earlier run."""
    if shows is None:
        return LedgerMissing(f"there is no ledger yet at {file}", MAKE)
    return LedgerMissing(
        f"the ledger's file {file} is gone, but {shows} shows that Waypost ran here", RESTORE
    )


def emptied(file: Path, shows: Path) -> LedgerMissing:
    """The error for a file without tables in a home where Waypost ran before."""
    return LedgerMissing(
        f"the ledger's file {file} is empty, but {shows} shows that Waypost ran here", RESTORE
    )
