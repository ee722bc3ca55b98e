"""Checks that the file that SQLite has open is still the file at its path, and whole.

SQLite goes on committing to a file that was deleted or replaced, and no process reads those commits. It
checks for that only without a write-ahead log. The path is checked with stat only: opening and closing the
file would drop SQLite's locks on it (POSIX: closing one descriptor drops all of the process's locks on it).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import RLock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from waypost.ledger.database.lost_file import emptied, file_of, missing, trace
from waypost.ledger.database.write_ahead_log import Identity, WriteAheadLog
from waypost.system.outage import Outage

LOOK_SECONDS = 1.0  # between two looks by reads
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# The files, by their suffix to the ledger's path. SQLite keeps the last two while the ledger is open.
FILES = {"": "file", "-wal": "write-ahead log (-wal)", "-shm": "index of its log (-shm)"}
RESTART = (
    "stop all Waypost processes that use it. Put the whole ledger back, or delete its "
    "-wal and -shm files and restore a backup. Then restart the processes"
)


class FileReplaced(Outage, OSError):
    """The ledger's file is not the one this process opened, or is damaged: writes to it would be
    lost. The message says what happened and what to do. Once raised, it is raised for all further use."""


class LedgerFile:
    """The file of one ledger, looked at before and after each commit. A ledger in memory has none.

    home: the folder whose files show whether there was a ledger before; None where it does not matter.
    may_be_made: whether opening may create the file, if there was no ledger before.
    """

    def __init__(self, engine: sa.Engine, home: Path | None = None) -> None:
        self.may_be_made = False
        self._home = home
        self._named = file_of(engine.url)
        self._path = ""
        self._known: dict[str, Identity] = {}
        self._log = WriteAheadLog()
        self._size = 0
        self._open = 0
        # Many threads look, open and close. The garbage collector may close a connection during a look.
        self._looking = RLock()
        self._lost: str | None = None
        self._seen_at = float("-inf")
        event.listen(engine, "do_connect", self._before_opening)
        event.listen(engine, "connect", self._on_open)
        event.listen(engine, "close", self._on_close)
        event.listen(engine, "handle_error", self._on_error)

    def look(self) -> None:
        """Check the files. Raises FileReplaced, and OSError if stat fails on the path."""
        if self._lost:
            raise FileReplaced(self._lost)
        if not self._path:
            return
        with self._looking:
            for suffix, what in FILES.items():
                # While no connection is open, SQLite may be deleting the log and its index.
                if self._open or not suffix:
                    self._compare(suffix, what)
            self._look_at_log(self._log.fault)
            self._seen_at = time.monotonic()

    def look_after_commit(self) -> None:
        """Check the log only, as a commit must not take much longer. Raises FileReplaced if the log lost
        content that it had at the look before the commit."""
        with self._looking:
            if self._lost:
                raise FileReplaced(self._lost)
            self._look_at_log(self._log.fault_since)

    def look_now_and_then(self) -> None:
        """Like `look`, but only if the last look was a second ago or the file is lost already."""
        if self._lost or time.monotonic() - self._seen_at > LOOK_SECONDS:
            self.look()

    def _compare(self, suffix: str, what: str) -> None:
        known = self._known.get(suffix)
        try:
            found = os.stat(self._path + suffix)
        except FileNotFoundError:
            if known:
                self._give_up(f"the ledger's {what} was deleted or moved while this process had it open")
            return
        identity = found.st_dev, found.st_ino
        if known and identity != known:
            self._give_up(f"the ledger's {what} was replaced while this process had it open")
        self._known[suffix] = identity
        if not suffix:
            # VACUUM shortens the file too.
            if found.st_size < self._size and not _whole(self._path):
                self._give_up("the ledger's file was cut short while this process had it open")
            self._size = found.st_size

    def _look_at_log(self, fault: Callable[[Identity, Identity], str | None]) -> None:
        index, log = self._known.get("-shm"), self._known.get("-wal")
        if index and log and (wrong := fault(index, log)):
            self._give_up(f"the ledger's {FILES['-wal']} was {wrong} while this process had it open")

    def _give_up(self, happened: str) -> None:
        self._lost = f"{happened}, so nothing more is accepted or sent: {RESTART}"
        raise FileReplaced(self._lost)

    def _before_opening(self, *_: Any) -> None:
        """Check first: SQLite would create an empty file where the ledger was lost or does not exist."""
        if self._known:
            self.look()
        elif self._named is not None and not self._named.exists():
            shows = trace(self._home)
            if shows or not self.may_be_made:
                raise missing(self._named, shows)

    def has_no_tables(self) -> None:
        """Raises LedgerMissing if there was a ledger before: its file was emptied or created again."""
        if self._named is not None and (shows := trace(self._home)):
            raise emptied(self._named, shows)

    def _on_open(self, connection: Any, _record: Any) -> None:
        with self._looking:
            self._open += 1
        if not self._path:
            self._path = connection.execute("PRAGMA database_list").fetchone()[2]
        self.look()

    def _on_close(self, *_: Any) -> None:
        """Forget the log and its index after the last connection: SQLite may delete them then."""
        with self._looking:
            self._open -= 1
            if not self._open:
                for suffix in [suffix for suffix in self._known if suffix]:
                    del self._known[suffix]

    def _on_error(self, context: Any) -> FileReplaced | None:
        code = getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF
        if code not in DAMAGED:
            return None
        if not self._lost:
            said = str(context.original_exception)
            self._lost = (
                f"the ledger's file is damaged ({said}), so nothing more is accepted or sent: {RESTART}"
            )
        return FileReplaced(self._lost)


def _whole(path: str) -> bool:
    """Whether a new connection, which has no cached pages, finds the file whole. It finds a missing page;
    with millions of notifications that takes seconds."""
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            return bool(made) and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error as error:
        return error.sqlite_errorcode & 0xFF not in DAMAGED
