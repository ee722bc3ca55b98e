"""A server that answers the final dot after the attempt is over: one mail, one attempt, no doubt."""

import asyncio
from datetime import timedelta

import pytest
from support.flow_steps import run
from support.ledger import accepted, attempt_rows, rows

from waypost.policy.circuit_breaker import FAILURES, CircuitState
from waypost.system.clock import now

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


class Slow:
    """What a server does after the final dot: it answers `reply` once it is told to."""

    def __init__(self, reply="250 2.0.0 taken"):
        self.answers, self.reply, self.asked = asyncio.Event(), reply, 0

    async def __call__(self, _session):
        self.asked += 1
        await self.answers.wait()
        return self.reply


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def sent_to(ledger, bent, smtp, runtime_of):
    """Sends so many mails to a server that is slow."""

    async def send(slow, count=1, query=""):
        server = bent(DOT=slow)
        runtime = runtime_of(await smtp(server, query, attempt_seconds=0.3))
        await accepted(ledger, count)
        await run(runtime)
        return server, runtime

    return send


async def settled(ledger):
    """The row, once it is in doubt no more."""
    async with asyncio.timeout(60):
        while (found := await rows(ledger))[0].in_doubt:
            await asyncio.sleep(0.01)
    return found[0]


async def test_until_it_answers_the_mail_is_in_doubt_and_not_sent_again_for_ten_minutes(
    ledger, sent_to, slow
):
    await sent_to(slow)
    [row], [attempt] = await rows(ledger), await attempt_rows(ledger)
    assert (row.state, row.in_doubt, attempt.verdict) == ("deferred", 1, "unknown")
    assert row.due_at > now() + timedelta(minutes=9.5)


@pytest.mark.parametrize(
    ("reply", "state", "verdict"),
    [
        ("250 2.0.0 taken", "sent", "accepted"),
        ("554 5.6.0 spam", "failed", "refused"),
        ("451 4.3.0 later", "deferred", "deferred"),
    ],
)
async def test_its_answer_settles_the_doubt_and_nothing_is_sent_twice(ledger, sent_to, reply, state, verdict):
    slow = Slow(reply)
    server, _ = await sent_to(slow)
    slow.answers.set()
    row, [attempt] = await settled(ledger), await attempt_rows(ledger)
    assert (row.state, attempt.verdict, slow.asked) == (state, verdict, 1)
    await server.left()


async def test_a_stop_waits_for_no_answer(ledger, sent_to, slow):
    server, runtime = await sent_to(slow)
    async with asyncio.timeout(2):
        await runtime.close()
    await server.left()


async def test_no_more_connections_wait_than_the_server_may_have(ledger, sent_to, slow):
    server, _ = await sent_to(slow, count=4, query="?connections=1")
    assert slow.asked == FAILURES
    async with asyncio.timeout(60):
        while len(server.open_sessions) > 1:
            await asyncio.sleep(0.01)


async def test_a_server_that_hangs_is_left_alone_after_three_messages(ledger, sent_to, slow):
    _, runtime = await sent_to(slow, count=6, query="?connections=1")
    assert (slow.asked, runtime.providers.state("smtp").breaker.state) == (FAILURES, CircuitState.OPEN)
    assert sorted(row.in_doubt for row in await rows(ledger)) == [0, 0, 0, 1, 1, 1]


async def test_a_connection_lost_meanwhile_leaves_the_doubt(ledger, sent_to, slow):
    server, _ = await sent_to(slow)
    for session in server.open_sessions:
        session.transport.abort()
    await server.left()
    [row] = await rows(ledger)
    assert (row.state, row.in_doubt) == ("deferred", 1)
