"""A network that swallows what is sent: nothing waits for ever, and what only takes long is not cut off."""

import asyncio
import shutil
import sqlite3
import time
from contextlib import closing, suppress

import pytest
import sqlalchemy as sa
from support.database_proxy import laid
from support.ledger import accepted, rows

from waypost.config.settings import with_async_driver
from waypost.ledger import NotRecorded, open_ledger
from waypost.ledger.database import watch_for_work, watchdog
from waypost.ledger.database.tables import metadata, recipients
from waypost.ledger.database.watch_for_work import watching

pytestmark = pytest.mark.anyio


class Line:
    """What lies between a ledger and its server."""

    def __init__(self, server):
        self._server = server
        self._cut = asyncio.Event()
        self._tasks = set()
        self._ends = []
        self.dead = False

    def swallow(self):
        """Whatever is connected hears nothing any more, not even that it is over."""
        self._cut.set()
        self._cut = asyncio.Event()

    async def carry(self, reader, writer):
        self._ends.append(writer)
        if self.dead:
            return
        answers, there = await asyncio.open_connection(*self._server)
        self._ends.append(there)
        for source, sink in ((reader, there), (answers, writer)):
            self._tasks.add(asyncio.create_task(self._pump(source, sink, self._cut)))

    async def _pump(self, source, sink, cut):
        with suppress(OSError):
            while (data := await source.read(65536)) and not cut.is_set():
                sink.write(data)
        if not cut.is_set():
            sink.close()

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in self._ends:
            end.close()


@pytest.fixture
async def line(postgres_url):
    async with laid(Line, postgres_url) as made:
        yield made


@pytest.fixture
async def far(line, monkeypatch):
    """A ledger at the other end of the line, which soon asks."""
    monkeypatch.setattr(watchdog, "SILENT_AFTER", 0.4)
    monkeypatch.setattr(watchdog, "ANSWERS_WITHIN", 0.4)
    monkeypatch.setattr(watchdog, "CLOSE_WITHIN", 0.2)
    soon = {"timeout": 0.4, "server_settings": {"idle_in_transaction_session_timeout": "1000"}}
    for name, value in soon.items():
        monkeypatch.setitem(watchdog.CONNECT, name, value)
    ledger = open_ledger(with_async_driver(line.url.render_as_string(hide_password=False)))
    await ledger.upgrade()
    await ledger.write(lambda c: c.execute(sa.text(f"TRUNCATE {', '.join(metadata.tables)} CASCADE")))
    yield ledger
    await ledger.close()


def seven(connection):
    return connection.scalar(sa.text("SELECT 7"))


async def test_a_connection_gone_silent_is_replaced(far, line):
    await asyncio.gather(*(far.read(seven) for _ in range(4)))
    line.swallow()
    async with asyncio.timeout(20):
        assert [await far.write(seven) for _ in range(6)] == [7] * 6


async def test_a_silent_server_is_an_error_soon_and_waited_for_by_what_must_be_written(far, line):
    line.dead = True
    line.swallow()
    async with asyncio.timeout(20):
        with pytest.raises(TimeoutError):
            await far.read(seven)
    waiting = asyncio.create_task(far.write_until_durable(seven))
    await asyncio.sleep(1)
    assert not waiting.done()
    line.dead = False
    assert await asyncio.wait_for(waiting, 5) == 7


async def test_what_only_takes_long_is_not_cut_off(far):
    def slow(connection):
        calls.append(connection)
        connection.execute(sa.text("SELECT pg_sleep(1.5)"))
        for _ in range(10):  # many short ones are long together
            connection.execute(sa.text("SELECT pg_sleep(0.1)"))
        return len(calls)

    calls = []
    assert await far.write(slow) == 1


async def test_locks_of_a_transaction_gone_silent_do_not_stay(far, line):
    await accepted(far, 1)
    times = []

    def work(connection):
        times.append(time.monotonic())
        connection.execute(sa.update(recipients).values(name="Ada"))
        if len(times) == 1:
            line.swallow()
        return seven(connection)

    async with asyncio.timeout(20):
        assert await far.write_until_durable(work) == 7
    assert [row.name for row in await rows(far, recipients)] == ["Ada"]


async def test_a_silent_server_keeps_nobody_from_leaving(far, line):
    await asyncio.gather(*(far.read(seven) for _ in range(4)))
    async with watching(far, lambda: None):
        await asyncio.sleep(0.2)
        line.dead = True
        line.swallow()
        left = time.monotonic()
    await far.close()
    assert time.monotonic() - left < 5


async def test_a_connection_that_only_listens_is_asked_whether_it_lives(far, line, postgres_url, monkeypatch):
    monkeypatch.setattr(watch_for_work, "ASK_SECONDS", 0.3)
    monkeypatch.setattr(watch_for_work, "ANSWERS_WITHIN", 0.3)
    near = open_ledger(with_async_driver(postgres_url))
    woken = asyncio.Event()
    async with watching(far, woken.set):
        await asyncio.wait_for(woken.wait(), 60)
        line.swallow()
        await asyncio.sleep(3)
        woken.clear()
        await accepted(near)
        await asyncio.wait_for(woken.wait(), 60)
    await near.close()


async def test_work_that_fails_as_the_line_goes_silent_is_over_soon(far, line, monkeypatch):
    monkeypatch.setattr(watchdog, "SILENT_AFTER", 0.5)
    monkeypatch.setattr(watchdog, "ANSWERS_WITHIN", 0.5)

    def bad(connection):
        connection.execute(sa.update(recipients).values(name="x"))
        line.swallow()
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await asyncio.wait_for(far.write(bad), 60)


@pytest.fixture
async def patient(line):
    """A ledger at the other end of the line, which asks as late as it does in a worker."""
    ledger = open_ledger(with_async_driver(line.url.render_as_string(hide_password=False)))
    yield ledger
    await ledger.close()


@pytest.mark.parametrize("connected", [True, False])
async def test_a_silent_server_that_is_given_up_is_left_at_once(patient, line, connected):
    """Whether it fell silent with a transaction under way, or takes no connection."""
    if connected:
        await patient.read(seven)
    line.dead = True
    line.swallow()
    waiting = [asyncio.create_task(patient.write_until_durable(seven)) for _ in range(3)]
    await asyncio.sleep(0.5)
    began = time.monotonic()
    patient.give_up()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    with pytest.raises(NotRecorded):
        await patient.write_until_durable(seven)
    await patient.close()
    assert [type(one) for one in answers] == [NotRecorded] * 3
    assert time.monotonic() - began < 4


async def test_a_locked_file_that_is_given_up_is_left_at_once(empty_ledger, tmp_path):
    file = shutil.copy(empty_ledger, tmp_path / "ledger.db")
    ledger = open_ledger(f"sqlite:///{file}")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(ledger.write_until_durable(seven))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        ledger.give_up()
        with pytest.raises(NotRecorded):
            await waiting
        await ledger.close()
        assert time.monotonic() - began < 4


async def test_a_ledger_that_was_given_up_and_answers_takes_what_is_left_to_write(ledger):
    ledger.give_up()
    assert await ledger.write_until_durable(seven) == 7
