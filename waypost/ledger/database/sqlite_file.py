"""Whether the file that SQLite has open is still the file at its path, and whole.

A file that was deleted or replaced goes on taking commits, which nobody will ever read. SQLite looks for that
only without a write-ahead log. Here the path is asked with stat alone: to open and close the file would drop
SQLite's locks on it (POSIX: a process loses its locks on a file with the first of its descriptors it closes).
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

LOOK_SECONDS = 1.0  # between two looks of those who only read
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# The files, by what follows the ledger's path: SQLite keeps the last two for as long as the ledger is open.
FILES = {"": "file", "-wal": "write-ahead log (-wal)", "-shm": "index of its log (-shm)"}
RESTART = (
    "stop every process of Waypost that uses it, put the whole ledger back where it was, or delete its -wal "
    "and -shm files and restore a backup, and start the processes again"
)


class FileReplaced(Outage, OSError):
    """The ledger's file is not the one this process opened, or is damaged: what is written there would be
    lost. Says what happened and what to do. A process that has found it out stays with it."""


class LedgerFile:
    """The file of one ledger, looked at before and after each commit. A ledger in memory has none.

    home: the folder whose files show whether there was a ledger before; None where it does not matter.
    may_be_made: whether a file that is not there, nor was, is made by opening it.
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
        # Many threads look, open and close. The garbage collector may close a connection within a look.
        self._looking = RLock()
        self._lost: str | None = None
        self._seen_at = float("-inf")
        event.listen(engine, "do_connect", self._before_opening)
        event.listen(engine, "connect", self._on_open)
        event.listen(engine, "close", self._on_close)
        event.listen(engine, "handle_error", self._on_error)

    def look(self) -> None:
        """Raises FileReplaced, and OSError where the path cannot be asked."""
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
        """Looks at the log alone, as a commit must not take much longer. Raises FileReplaced where the log
        lost what it had at the look before the commit."""
        with self._looking:
            if self._lost:
                raise FileReplaced(self._lost)
            self._look_at_log(self._log.fault_since)

    def look_now_and_then(self) -> None:
        """The same, where the last look was a second ago or it is lost already."""
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
            self._give_up(f"the ledger's {what} was replaced by another while this process had it open")
        self._known[suffix] = identity
        if not suffix:
            # VACUUM makes it shorter too, and rightly.
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
        """Or SQLite would make an empty file where a ledger was, or was looked for in vain."""
        if self._known:
            self.look()
        elif self._named is not None and not self._named.exists():
            shows = trace(self._home)
            if shows or not self.may_be_made:
                raise missing(self._named, shows)

    def has_no_tables(self) -> None:
        """Raises LedgerMissing where there was a ledger before: its file was emptied, or made anew."""
        if self._named is not None and (shows := trace(self._home)):
            raise emptied(self._named, shows)

    def _on_open(self, connection: Any, _record: Any) -> None:
        with self._looking:
            self._open += 1
        if not self._path:
            self._path = connection.execute("PRAGMA database_list").fetchone()[2]
        self.look()

    def _on_close(self, *_: Any) -> None:
        """Whoever closes the ledger as the last takes the log and its index away."""
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
    """What a connection that has nothing in memory makes of the file. A page that is missing is seen; with
    millions of notifications that takes seconds."""
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            return bool(made) and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error as error:
        return error.sqlite_errorcode & 0xFF not in DAMAGED
