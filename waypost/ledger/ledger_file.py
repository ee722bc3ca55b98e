"""Whether the file that SQLite has open is still the file at its path, and whole.

A file that was deleted or replaced goes on taking commits, which nobody will ever read. SQLite looks for that
only without a write-ahead log. Here the path is asked with stat alone: to open and close the file would drop
SQLite's locks on it (POSIX: a process loses its locks on a file with the first of its descriptors it closes).
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

LOOK_SECONDS = 1.0  # between two looks of those who only read
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# The files, by what follows the ledger's path: SQLite keeps the last two for as long as the ledger is open.
FILES = {"": "file", "-wal": "write-ahead log (-wal)", "-shm": "index of its log (-shm)"}
RESTART = (
    "stop every process of Waypost that uses it, put the whole ledger back where it was or restore a backup, "
    "and start them again"
)

Identity = tuple[int, int]


class FileReplaced(OSError):
    """The ledger's file is not the one this process opened, or is damaged: what is written there would be
    lost. Says what happened and what to do. A process that has found it out stays with it."""


class LedgerFile:
    """The file of one ledger, looked at before each commit. Of a ledger in memory there is nothing to see."""

    def __init__(self, engine: sa.Engine) -> None:
        self._path = ""
        self._known: dict[str, Identity] = {}
        self._size = 0
        self._open = 0
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
        for suffix, what in FILES.items():
            self._compare(suffix, what)
        self._seen_at = time.monotonic()

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
        if (found.st_dev, found.st_ino) != (known or (found.st_dev, found.st_ino)):
            self._give_up(f"the ledger's {what} was replaced by another while this process had it open")
        self._known[suffix] = (found.st_dev, found.st_ino)
        if not suffix:
            # VACUUM makes it shorter too, and rightly.
            if found.st_size < self._size and not _whole(self._path):
                self._give_up("the ledger's file was cut short while this process had it open")
            self._size = found.st_size

    def _give_up(self, happened: str) -> None:
        self._lost = f"{happened}, so nothing more is accepted or sent: {RESTART}"
        raise FileReplaced(self._lost)

    def _before_opening(self, *_: Any) -> None:
        """Or SQLite would make an empty file in the place of one that was deleted."""
        if self._known:
            self.look()

    def _on_open(self, connection: Any, _record: Any) -> None:
        self._open += 1
        if not self._path:
            self._path = connection.execute("PRAGMA database_list").fetchone()[2]
        self.look()

    def _on_close(self, *_: Any) -> None:
        """Whoever closes the ledger as the last takes the log and its index away."""
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
