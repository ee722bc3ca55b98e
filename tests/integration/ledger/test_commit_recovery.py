"""A connection that is lost with a commit: whether it was one is found out, and nothing is accepted twice."""

import asyncio
from contextlib import suppress

import pytest
from support.database_proxy import laid
from support.ledger import GROUPED, NOTE, ask, rows
from support.rings import ring

from waypost.config.settings import with_async_driver
from waypost.ledger import open_ledger
from waypost.ledger.database.ledger import CommitLost
from waypost.ledger.intake import accept, commit_recovery
from waypost.model.receipt import IntakeResult
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio

AFTER, BEFORE = "after", "before"  # the server has heard of the commit


class Line:
    """What lies between a ledger and its server, and is cut at the next COMMIT. closed: it takes nobody
    any more, once it was cut."""

    def __init__(self, server):
        self._server = server
        self._tasks = set()
        self.cut = None
        self.times = self.cuts = 0
        self.closed = False

    async def carry(self, reader, writer):
        if self.closed:
            writer.close()
            return
        answers, there = await asyncio.open_connection(*self._server)
        ends = (writer, there)
        heard = asyncio.Event()
        heard.set()
        self._tasks.add(asyncio.create_task(self._up(reader, there, ends, heard)))
        self._tasks.add(asyncio.create_task(self._down(answers, writer, heard)))

    async def _up(self, source, there, ends, heard):
        with suppress(OSError):
            while data := await source.read(65536):
                cut = self.cut if b"COMMIT" in data else None
                if cut:
                    heard.clear()  # the answer to it is what gets lost
                if cut != BEFORE:
                    there.write(data)
                if cut:
                    self.cuts += 1
                    self.times -= 1
                    self.cut = cut if self.times > 0 else None
                    await asyncio.sleep(0 if cut == BEFORE else 0.1)
                    self.closed = self.closed is None
                    for end in ends:
                        end.transport.abort()
                    return
        there.close()

    async def _down(self, answers, writer, heard):
        with suppress(OSError):
            while (data := await answers.read(65536)) and heard.is_set():
                writer.write(data)
        if heard.is_set():
            writer.close()

    def cut_at(self, when, times=1):
        self.cut, self.times = when, times

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def line(postgres_url):
    async with laid(Line, postgres_url) as made:
        yield made


@pytest.fixture
async def far(line, ledger):
    """The ledger, by that line."""
    made = open_ledger(with_async_driver(line.url.render_as_string(hide_password=False)), ring=ring)
    yield made
    await made.close()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("when", [AFTER, BEFORE])
@pytest.mark.parametrize("key", [None, "once"])
@pytest.mark.parametrize("times", [1, 3])
async def test_what_is_accepted_is_there_once(line, far, ledger, when, key, times):
    line.cut_at(when, times)
    [receipt] = await accept.accept(far, NOTE, [ask(idempotency_key=key)])
    assert line.cuts == times  # a look ends with a commit too
    assert receipt.outcome is IntakeResult.ACCEPTED
    assert [one.id for one in await rows(ledger)] == [receipt.id]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("when", [AFTER, BEFORE])
async def test_what_a_run_brings_is_accepted_once(line, far, ledger, when):
    line.cut_at(when, 2)
    batch, receipts = await accept.accept_for_run(far, NOTE, [ask(), ask()], new_id())
    assert line.cuts == 2
    found = await rows(ledger)
    assert {one.id for one in found} == {one.id for one in receipts}
    assert {(one.batch_id, one.state) for one in found} == {(batch, "claimed")}


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("when", [AFTER, BEFORE])
@pytest.mark.parametrize("key", [None, "once"])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("by_a_run", [False, True])
async def test_what_is_counted_into_another_is_counted_once(line, far, ledger, when, key, times, by_a_run):
    [open_one] = await accept.accept(ledger, GROUPED, [ask()])
    line.cut_at(when, times)
    again = [ask(idempotency_key=key), ask()]
    if by_a_run:
        _, receipts = await accept.accept_for_run(far, GROUPED, again, new_id())
    else:
        receipts = await accept.accept(far, GROUPED, again)
    assert line.cuts == times
    assert {(one.outcome, one.id) for one in receipts} == {(IntakeResult.GROUPED, open_one.id)}
    assert [row.occurrences for row in await rows(ledger)] == [3]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_ledger_that_stays_away_leaves_it_open(line, far, ledger, monkeypatch):
    monkeypatch.setattr(commit_recovery, "LOOKS_FOR_SECONDS", 0.5)
    line.cut_at(AFTER)
    line.closed = None
    with pytest.raises(CommitLost):
        await accept.accept(far, NOTE, [ask()])
    assert len(await rows(ledger)) == 1
