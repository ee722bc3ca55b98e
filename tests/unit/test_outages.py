"""Outages of the ledger in the log."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from waypost.cli.startup_checks import run_over_a_ledger
from waypost.ledger.database import outages as log
from waypost.ledger.database.outages import SAID_AGAIN_SECONDS, Outages
from waypost.ledger.database.sqlite_file import FileReplaced


class Moment:
    now = 0.0


@pytest.fixture
def outages():
    return Outages(lambda: Moment.now)


def said(caplog):
    return [(one.levelname, one.getMessage()) for one in caplog.records]


def test_a_lost_file_is_logged_once_though_each_ledger_puts_it_in_words_of_its_own(outages, caplog):
    for what in ("file was deleted: stop", "write-ahead log was deleted: stop"):
        outages.tell(FileReplaced(f"the ledger's {what}"))
    assert said(caplog) == [("ERROR", "the ledger's file was deleted: stop")]
    assert outages.lost == "the ledger's file was deleted: stop"


def test_any_other_outage_is_logged_in_words_and_once_a_minute(outages, caplog):
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    for Moment.now in (0.0, 1.0, SAID_AGAIN_SECONDS - 1, SAID_AGAIN_SECONDS):
        outages.tell(full)
    assert [level for level, _ in said(caplog)] == ["WARNING"] * 2
    assert "the disk of the ledger is full: free some space" in caplog.text
    assert not outages.lost


def test_each_kind_of_outage_is_logged_by_itself(outages, caplog):
    outages.tell(ConnectionRefusedError())
    outages.tell(FileReplaced("the ledger's file was deleted: stop"))
    assert [level for level, _ in said(caplog)] == ["WARNING", "ERROR"]


def test_a_command_that_ran_over_a_lost_file_does_not_say_that_all_is_kept(monkeypatch):
    monkeypatch.setattr(
        "waypost.system.process.run_until_signalled", lambda main: asyncio.run(main(asyncio.Event()))
    )

    async def main(_stop):
        log.outages.tell(FileReplaced("the ledger's file was deleted: stop"))

    with pytest.raises(FileReplaced, match="the ledger's file was deleted"):
        run_over_a_ledger(main)
