"""SQLite's write-ahead log, looked at over descriptors that are SQLite's to close."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from waypost.ledger.database.write_ahead_log import WriteAheadLog


def identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


@pytest.fixture
def page(request):
    return getattr(request, "param", 4096)


@pytest.fixture
def opened(tmp_path, page):
    """Copies of an index and of its log, open as SQLite has them."""
    with closing(sqlite3.connect(tmp_path / "ledger", isolation_level=None)) as made:
        made.execute(f"PRAGMA page_size={page}")
        made.execute("PRAGMA journal_mode=WAL")
        for table in ("one", "two", "three"):
            made.execute(f"CREATE TABLE {table} (number INTEGER)")
        for name in ("shm", "wal"):
            shutil.copy(tmp_path / f"ledger-{name}", tmp_path / name)
    descriptors = [os.open(tmp_path / name, os.O_RDWR) for name in ("shm", "wal")]
    yield descriptors
    for one in descriptors:
        os.close(one)


@pytest.mark.parametrize("page", [512, 4096, 65_536], indirect=True)
def test_a_log_as_its_index_says_is_whole_and_a_shorter_or_another_is_not(opened):
    index, log = opened
    files = identity(index), identity(log)
    assert WriteAheadLog().fault(*files) is None
    os.pwrite(log, b"other salts", 16)
    assert WriteAheadLog().fault(*files) == "overwritten"
    os.truncate(log, 100)
    assert WriteAheadLog().fault(*files) == "cut short"


def test_a_last_page_that_changed_since_the_look_before_is_found(opened):
    index, log = opened
    looked = WriteAheadLog()
    assert looked.fault(identity(index), identity(log)) is None
    os.pwrite(log, b"other", os.fstat(log).st_size - 5)
    assert WriteAheadLog().fault(identity(index), identity(log)) is None, "its page is not looked at"
    assert looked.fault(identity(index), identity(log)) == "overwritten"


def test_a_descriptor_that_is_another_files_by_now_is_no_loss(opened, monkeypatch):
    index, log = opened
    files = identity(index), identity(log)
    read = os.pread

    def taken_over(descriptor: int, size: int, at: int) -> bytes:
        """Another connection has closed the log, and a new file has its number."""
        with open(os.devnull, "rb") as other:
            os.dup2(other.fileno(), log)
        return read(descriptor, size, at)

    monkeypatch.setattr(os, "pread", taken_over)
    assert WriteAheadLog().fault(*files) is None
