"""A run that is told to stop while its mail server says nothing."""

import asyncio
from time import monotonic

import pytest
from support.ledger import NOTE, attempt_rows, claimed, rows
from support.smtp_faults import silence

from waypost import Batch
from waypost.model.notification import Delivery
from waypost.model.states import State
from waypost.rendering.messages import render_one
from waypost.tasks.delivery_run import delivery_run_in

pytestmark = pytest.mark.anyio


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def stopped(task):
    """Cancel it, and answer the seconds it took."""
    began = monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return monotonic() - began


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("verb", "verdict", "state", "within"), [("RCPT", "deferred", "deferred", 1), ("DOT", "unknown", None, 5)]
)
async def test_it_ends_soon_and_what_became_of_each_message_is_written(
    ledger, bent, smtp, runtime_of, verb, verdict, state, within
):
    server = bent(**{verb: silence})
    channel = await smtp(server, "?connections=3", attempt_seconds=60)
    runtime = runtime_of(channel)
    batch, notes = await claimed(ledger, 6)
    members = [Delivery(render_one(runtime.renderer(NOTE), NOTE, note), State.CLAIMED) for note in notes]
    dispatch = delivery_run_in(runtime, Batch(NOTE, batch, members))
    sending = asyncio.create_task(dispatch.send(await dispatch.prepare(members)))
    await until(lambda: sum(line.startswith("RCPT") for line in server.heard) >= 2)
    await asyncio.sleep(0.05)
    assert await stopped(sending) < within
    attempts = await attempt_rows(ledger)
    assert {attempt.verdict for attempt in attempts} == {verdict}
    assert all("stopped" in attempt.words for attempt in attempts)
    states = [row.state for row in await rows(ledger)]
    assert states.count("claimed") == 6 - len(attempts)
    assert state is None or states.count(state) == len(attempts)
    assert server.taken == []
