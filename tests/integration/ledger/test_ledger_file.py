"""The ledger's file on SQLite is taken away, replaced or cut short under a process that has it open."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from support.ledger import accepted, claimed, rows

from waypost.ledger import NotRecorded, open_ledger
from waypost.ledger.database.failures import log_failure
from waypost.ledger.database.ledger import CommitLost, FileLostWithCommit
from waypost.ledger.database.outages import outages
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.watch_for_work import watching
from waypost.ledger.queue.attempts import AttemptStarted
from waypost.ledger.queue.recorder import Recorder

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(empty_ledger, tmp_path):
    return Path(shutil.copy(empty_ledger, tmp_path / "ledger.db"))


@pytest.fixture
async def opened(file):
    """A ledger with some pages in its file."""
    ledger = open_ledger(f"sqlite:///{file}")
    await accepted(ledger, 200)
    sql(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    yield ledger
    await ledger.close()


def sql(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        for statement in statements:
            other.execute(statement)


def replaced(file: Path) -> None:
    shutil.copy(file, file.with_suffix(".other"))
    file.with_suffix(".other").replace(file)


LOSSES = {
    "deleted": lambda file: file.unlink(),
    "moved": lambda file: file.rename(file.with_suffix(".away")),
    "replaced": replaced,
    "emptied": lambda file: os.truncate(file, 0),
    "cut short": lambda file: os.truncate(file, file.stat().st_size // 2),
    "overwritten": lambda file: file.write_bytes(os.urandom(file.stat().st_size)),
    "without its log": lambda file: Path(f"{file}-wal").unlink(),
    "without the index of its log": lambda file: Path(f"{file}-shm").unlink(),
}


@pytest.mark.parametrize("loses", LOSSES.values(), ids=LOSSES)
async def test_nothing_is_accepted_into_a_file_that_is_lost_nor_once_it_is_back(opened, file, loses):
    copies = {path: path.read_bytes() for path in file.parent.glob("ledger.db*")}
    loses(file)
    for _ in range(2):
        with pytest.raises(FileReplaced, match=r"the ledger's .*: stop all Waypost"):
            await accepted(opened)
    for path, content in copies.items():
        path.write_bytes(content)
    with pytest.raises(FileReplaced):
        await rows(opened)


@pytest.mark.parametrize(
    "harmless",
    [
        ("DELETE FROM notifications", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"),
        ("PRAGMA wal_checkpoint(TRUNCATE)",),
        ("CREATE TABLE other (id INTEGER)",),
    ],
)
async def test_what_others_may_do_to_the_file_is_no_loss(opened, file, harmless):
    sql(file, *harmless)
    await accepted(opened)
    opened.engine.dispose()  # the last to close it takes its log away
    await accepted(opened)
    assert len(await rows(opened)) in (2, 202)


HEADER, FRAME = 32, 24 + 4096  # bytes of a log's header, and of each of its frames


def written(at: int, content: bytes) -> Callable[[Path], None]:
    """Writes `content` into a log; at: where, from its end if below zero."""

    def loses(log: Path) -> None:
        with log.open("r+b") as file:
            file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
            file.write(content)

    return loses


LOG_LOSSES = {
    "emptied": lambda log: os.truncate(log, 0),
    "cut short": lambda log: os.truncate(log, log.stat().st_size // 2),
    "overwritten": lambda log: log.write_bytes(os.urandom(log.stat().st_size)),
    "filled with nothing": lambda log: log.write_bytes(bytes(log.stat().st_size)),
    "without its magic": written(0, bytes(4)),
    "with another version": written(4, b"else"),
    "with another size of its pages": written(8, bytes(4)),
    "with another checksum of its header": written(24, b"any sums"),
    "with frames of nothing": lambda log: written(HEADER, bytes(log.stat().st_size - HEADER))(log),
    "with a last frame of nothing": written(-FRAME, bytes(FRAME)),
    "with a last frame of another log": written(8 - FRAME, b"its salt"),
    "with a last frame of another content": written(16 - FRAME, b"its sums"),
    "without the last byte": lambda log: os.truncate(log, log.stat().st_size - 1),
}


@pytest.mark.parametrize("loses", LOG_LOSSES.values(), ids=LOG_LOSSES)
async def test_nothing_is_accepted_into_a_log_whose_commits_are_lost(opened, file, loses):
    await accepted(opened, 50)
    await accepted(opened)  # its last frame is written after the look that remembers a frame
    loses(Path(f"{file}-wal"))
    for _ in range(2):
        with pytest.raises(FileReplaced, match=r"log \(-wal\) was (cut short|overwritten)"):
            await accepted(opened)


@pytest.mark.parametrize("loses", LOG_LOSSES.values(), ids=LOG_LOSSES)
async def test_what_a_log_loses_between_the_look_and_the_commit_is_not_accepted(opened, file, loses):
    """SQLite commits behind the cut, and its log is as long as before."""
    await accepted(opened, 50)
    event.listen(opened.engine, "commit", lambda _: loses(Path(f"{file}-wal")), once=True)
    with pytest.raises(FileLostWithCommit, match=r"the ledger's .*: stop all Waypost"):
        await accepted(opened)
    with pytest.raises(FileReplaced) as raised:
        await accepted(opened)
    assert not isinstance(raised.value, CommitLost), "nothing of it was done"


async def test_nothing_is_sent_where_the_file_is_lost_with_the_row_that_a_sending_begins_with(opened, file):
    batch, [one, *_] = await claimed(opened)
    event.listen(opened.engine, "commit", lambda _: os.truncate(f"{file}-wal", 100), once=True)
    begun = Recorder(opened).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    async with asyncio.timeout(60):
        while opened.waiting_since is None:
            await asyncio.sleep(0.01)
    assert not begun.done()
    assert outages.lost.startswith("the ledger's write-ahead log (-wal) was overwritten")
    opened.give_up()
    with pytest.raises(NotRecorded):
        await begun


OTHER_PROCESS = """
import random, sqlite3, sys
while True:
    other = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
    other.execute("PRAGMA cache_size=5")  # a transaction of many pages writes some to the log before its end
    for pages in (1, 30, 1):
        other.execute("BEGIN IMMEDIATE")
        other.executemany("INSERT INTO other VALUES (randomblob(3000))", [()] * pages)
        other.execute("UPDATE other SET content = randomblob(3000)")
        other.execute(random.choice(("COMMIT", "ROLLBACK")))
    other.execute("DELETE FROM other")
    for kind in random.sample(("PASSIVE", "FULL", "RESTART", "TRUNCATE"), 2):
        other.execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
    other.close()
"""


async def test_what_sqlite_does_to_its_log_by_whomever_is_no_loss(opened, file):
    """A checkpoint lets the next commit begin the log anew, with other salts, or makes it shorter."""

    def checkpoint() -> None:
        while not done.is_set():
            for kind in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
                sql(file, "PRAGMA busy_timeout = 10000", f"PRAGMA wal_checkpoint({kind})")

    def look() -> None:
        while not done.is_set():  # as those who read do, beside whoever writes
            opened.file.look()

    sql(file, "CREATE TABLE other (content BLOB)")
    done = threading.Event()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER_PROCESS, str(file))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(checkpoint))
            group.create_task(asyncio.to_thread(look))
            until, count = time.monotonic() + 3, 200
            while time.monotonic() < until:
                count += len(await accepted(opened, 20))
                opened.engine.dispose()
            done.set()
    finally:
        done.set()
        process.kill()
        await process.wait()
    assert len(await rows(opened)) == count


async def test_a_look_while_the_last_connection_takes_the_log_away_is_no_loss(opened):
    event.listen(opened.engine, "close", lambda *_: opened.file.look())
    opened.engine.dispose()
    opened.file.look()
    await accepted(opened)


async def test_a_new_connection_makes_no_new_file_where_the_ledger_was(opened, file):
    file.unlink()
    opened.engine.dispose()
    with pytest.raises(FileReplaced):
        await rows(opened)
    assert not file.exists()


async def test_what_cannot_be_recorded_waits_and_the_log_says_the_sentence_once(file, caplog):
    ledger = open_ledger(f"sqlite:///{file}")
    batch, [one] = await claimed(ledger)
    file.unlink()
    begun = Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    while ledger.waiting_since is None:
        await asyncio.sleep(0.01)
    assert not begun.done(), "nothing is sent"
    ledger.give_up()
    with pytest.raises(NotRecorded):
        await begun
    said = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert len(said) == 1
    assert said[0].startswith("the ledger's file was deleted or moved")
    await ledger.close()


async def test_a_ledger_in_memory_has_no_file_to_lose():
    ledger = open_ledger("sqlite://")
    assert await ledger.write(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1
    await ledger.close()


async def test_watching_goes_on_after_an_error_of_sqlites_and_ends_without_one(opened, caplog):
    woken, connections = asyncio.Event(), []
    event.listen(opened.engine, "connect", lambda raw, _record: connections.append(raw))
    opened.engine.dispose()
    caplog.set_level("INFO", "waypost.ledger")
    async with watching(opened, woken.set):
        await asyncio.wait_for(woken.wait(), 60)
        woken.clear()
        connections[0].close()
        await asyncio.wait_for(woken.wait(), 60)
    assert caplog.text.count("new work is noticed late") == 1
    assert "the ledger responds again" in caplog.text


async def test_however_many_loops_meet_a_file_that_is_gone_its_loss_is_logged_once(opened, file, caplog):
    async with watching(opened, lambda: None):
        file.unlink()
        while "the ledger's file was deleted" not in caplog.text:
            await asyncio.sleep(0.01)
        with pytest.raises(FileReplaced) as raised:
            await rows(opened)
        for what in ("what is due", "housekeeping", "webhooks"):
            log_failure(logging.getLogger(f"waypost.{what}"), what, raised.value)
    assert [one.getMessage() for one in caplog.records] == [str(raised.value)]
    assert outages.lost == str(raised.value)
