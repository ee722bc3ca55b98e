"""The ledger's file on SQLite is taken away, replaced or cut short under a process that has it open."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledgers import accepted, claimed, rows
from sqlalchemy import event

from waypost.ledger import NotRecorded, open_ledger
from waypost.ledger.ledger_file import FileReplaced
from waypost.ledger.notices import watching
from waypost.ledger.recorder import Begin, Recorder

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
        with pytest.raises(FileReplaced, match=r"the ledger's .*: stop every process"):
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
    begun = Recorder(ledger).begin(Begin(one.id, batch, "email", "smtp", None))
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
        await asyncio.wait_for(woken.wait(), 5)
        woken.clear()
        connections[0].close()
        await asyncio.wait_for(woken.wait(), 5)
    assert caplog.text.count("new work is found late") == 1
    assert "the ledger answers again" in caplog.text


async def test_who_watches_a_file_that_is_gone_says_so_once(opened, file, caplog):
    async with watching(opened, lambda: None):
        file.unlink()
        while "new work is found late" not in caplog.text:
            await asyncio.sleep(0.01)
    assert caplog.text.count("the ledger's file was deleted") == 1
