"""Told to stop: what is before its final dot ends at once and never leaves; what is past it is heard."""

import asyncio
import time
from time import monotonic

import pytest
from support.smtp_faults import silence

from waypost.channels.smtp import attempt
from waypost.model.outcome import Phase, Verdict

pytestmark = pytest.mark.anyio

ACCEPTED, DEFERRED, UNKNOWN = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.UNKNOWN


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    """On the worker's own loop too: it buffers what it writes otherwise."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(params=[False, True], ids=["one by one", "pipelined"])
def pipelining(request):
    return request.param


class Reached:
    """A bend of a server, which notes that a session has come to it."""

    def __init__(self, bend):
        self._bend = bend
        self._came = asyncio.Semaphore(0)

    async def __call__(self, session):
        self._came.release()
        return await self._bend(session)

    async def by(self, sessions):
        """Wait until so many sessions have come to it, and their clients to whatever follows."""
        for _ in range(sessions):
            await self._came.acquire()
        await asyncio.sleep(0.05)


async def begun(channel, bend, *messages):
    """Each message in a task of its own, which has come to `bend` of its server."""
    tasks = [asyncio.create_task(channel.send(message)) for message in messages]
    await bend.by(len(messages))
    return tasks


@pytest.mark.parametrize(
    ("verb", "phase"),
    [
        ("GREETING", Phase.CONNECT),
        ("EHLO", Phase.CONNECT),
        ("MAIL", Phase.MAIL),
        ("RCPT", Phase.RCPT),
        ("DATA", Phase.DATA),
    ],
)
async def test_before_the_dot_it_ends_at_once_and_nothing_was_sent(bent, smtp, write, verb, phase):
    silent = Reached(silence)
    server = bent(**{verb: silent})
    channel = await smtp(server)
    [task] = await begun(channel, silent, write("secret"))
    began = monotonic()
    channel.cancel_sends([task])
    outcome = await task
    assert (outcome.verdict, outcome.phase, outcome.words) == (DEFERRED, phase, "stopped")
    assert monotonic() - began < 30, "the server would be silent for a minute"
    await server.left()
    assert server.taken == []


async def test_a_stop_is_no_reason_to_doubt_pipelining(bent, smtp, write, caplog):
    silent = Reached(silence)
    channel = await smtp(bent(RCPT=silent))
    [task] = await begun(channel, silent, write())
    channel.cancel_sends([task])
    await task
    assert caplog.text == ""


async def test_a_message_that_has_not_left_whole_never_does(bent, smtp, write):
    async def reads_no_more(session):
        await session.push("354 go on")
        session.transport.pause_reading()
        await asyncio.sleep(60)

    deaf = Reached(reads_no_more)
    server = bent(DATA=deaf)
    channel = await smtp(server)
    [task] = await begun(channel, deaf, write("\r\n".join(["x" * 900] * 20_000)))
    channel.cancel_sends([task])
    outcome = await task
    assert (outcome.verdict, outcome.phase) == (DEFERRED, Phase.DATA)
    session = server.sessions[0]
    session.transport.resume_reading()
    await asyncio.sleep(0.1)
    assert b"\r\n.\r\n" not in bytes(session._reader._buffer)


async def test_after_the_dot_the_answer_is_waited_for_a_little(bent, smtp, write, monkeypatch):
    monkeypatch.setattr(attempt, "LAST_WORD_SECONDS", 5.0)

    async def slow(_session):
        await asyncio.sleep(0.15)
        return "250 2.0.0 taken"

    async def never(_session):
        await asyncio.sleep(60)

    late, silent = Reached(slow), Reached(never)
    server = bent(DOT=late)
    channel = await smtp(server)
    [task] = await begun(channel, late, write())
    channel.cancel_sends([task])
    assert (await task).verdict is ACCEPTED
    monkeypatch.setattr(attempt, "LAST_WORD_SECONDS", 0.3)
    server.bends["DOT"] = silent
    [task] = await begun(channel, silent, write())
    began = monotonic()
    channel.cancel_sends([task])
    outcome = await task
    assert (outcome.verdict, outcome.phase) == (UNKNOWN, Phase.DOT)
    assert outcome.words == "stopped while it waited for the reply"
    assert 0.2 < monotonic() - began < 30, "the server would be silent for a minute"


async def test_an_answer_that_came_while_the_process_was_held_up_counts(bent, smtp, write):
    async def answer_and_hold(session):
        session._writer.write(b"250 2.0.0 taken\r\n")
        time.sleep(1.5)
        return "250 2.0.0 again"

    channel = await smtp(bent(DOT=answer_and_hold), attempt_seconds=1.0)
    outcome = await channel.send(write())
    assert (outcome.verdict, outcome.words) == (ACCEPTED, "taken")


async def test_only_what_these_tasks_send_is_cut_short(bent, smtp, write):
    gate = asyncio.Event()

    async def until_let(_session):
        await gate.wait()

    held = Reached(until_let)
    channel = await smtp(bent(RCPT=held))
    mine, others = await begun(channel, held, write("mine"), write("others"))
    channel.cancel_sends([mine])
    gate.set()
    assert [(await mine).verdict, (await others).verdict] == [DEFERRED, ACCEPTED]


async def test_a_task_that_sends_nothing_is_no_matter(mail_server, smtp, write):
    channel = await smtp(mail_server)
    task = asyncio.create_task(channel.send(write()))
    await task
    channel.cancel_sends([task])
    assert (await channel.send(write())).verdict is ACCEPTED
