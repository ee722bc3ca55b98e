"""A run that ends early, however it ends, leaves its providers as it found them."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from time import monotonic

import pytest
from support.ledger import NOTE, attempt_rows, claimed, rows
from support.smtp_faults import silence

from waypost import Batch
from waypost.channels.memory import MemoryChannel
from waypost.ledger import NotRecorded
from waypost.ledger.database.tables import notifications
from waypost.model.notification import Delivery
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.provider import Provider
from waypost.model.states import State
from waypost.policy import classify
from waypost.policy.circuit_breaker import CircuitState
from waypost.rendering.messages import render_one
from waypost.system.clock import now
from waypost.tasks.delivery_run import delivery_run_in

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


async def begun(runtime, count=1, **changes):
    """A run's way, and what it is to send."""
    batch, notes = await claimed(runtime.ledger, count)
    for note in notes:
        for name, value in changes.items():
            object.__setattr__(note, name, value)
    members = [Delivery(render_one(runtime.renderer(NOTE), NOTE, note), State.CLAIMED) for note in notes]
    dispatch = delivery_run_in(runtime, Batch(NOTE, batch, members))
    return dispatch, await dispatch.prepare(members)


def due_for_a_probe(runtime, name):
    standing = runtime.providers.state(name)
    for _ in range(3):
        standing.record_failure("refused")
    standing.breaker.until = asyncio.get_running_loop().time() - 1
    return standing


async def cancelled(task, after=0.1):
    await asyncio.sleep(after)
    task.cancel()
    began = monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    return monotonic() - began


@pytest.mark.parametrize("verb", ["GREETING", "RCPT", "DOT"])
async def test_a_probe_that_was_cancelled_is_left_to_the_next_run(ledger, bent, smtp, verb, runtime_of):
    channel = await smtp(bent(**{verb: silence}), attempt_seconds=60)
    runtime = runtime_of(channel)
    standing = due_for_a_probe(runtime, channel.name)
    dispatch, members = await begun(runtime)
    await cancelled(asyncio.create_task(dispatch.send(members)), 0.3)
    assert standing.breaker.state is not CircuitState.PROBING
    assert standing.allows()


async def test_a_probe_that_could_not_be_written_down_is_left_to_the_next_run(
    ledger, monkeypatch, runtime_of
):
    channel = MemoryChannel()
    runtime = runtime_of(channel)
    standing = due_for_a_probe(runtime, channel.name)
    dispatch, members = await begun(runtime)

    async def not_recorded(*_, **__):
        raise NotRecorded("the ledger is away")

    monkeypatch.setattr(runtime.recorder, "begin", not_recorded)
    with pytest.raises(NotRecorded):
        await dispatch.send(members)
    assert standing.allows()


async def test_messages_that_came_too_late_to_be_offered_are_no_failures_of_their_provider(
    ledger, monkeypatch, runtime_of
):
    channel = MemoryChannel()
    runtime = runtime_of(channel)
    dispatch, members = await begun(runtime, 5, expires_at=now() + timedelta(seconds=0.3))
    begin = runtime.recorder.begin

    async def slow(*some, **more):
        await asyncio.sleep(0.4)
        return await begin(*some, **more)

    monkeypatch.setattr(runtime.recorder, "begin", slow)
    await dispatch.send(members)
    assert len(await attempt_rows(ledger)) >= 3
    assert runtime.providers.state(channel.name).breaker.state is CircuitState.CLOSED


async def test_a_run_that_is_to_stop_waits_for_no_place(ledger, runtime_of):
    channel = MemoryChannel(permits=1)
    runtime = runtime_of(channel)
    await channel.permits.acquire()
    dispatch, members = await begun(runtime, 2)
    assert await cancelled(asyncio.create_task(asyncio.wait_for(dispatch.send(members), 5))) < 1
    channel.permits.release()
    assert channel.permits.idle


async def test_what_was_not_yet_offered_when_the_run_was_to_stop_is_not(ledger, monkeypatch, runtime_of):
    channel = MemoryChannel()
    runtime = runtime_of(channel)
    dispatch, members = await begun(runtime)
    begin = runtime.recorder.begin

    async def slow(*some, **more):
        await asyncio.sleep(0.3)
        return await begin(*some, **more)

    monkeypatch.setattr(runtime.recorder, "begin", slow)
    await cancelled(asyncio.create_task(dispatch.send(members)))
    assert channel.sent == []
    assert [one.words for one in await attempt_rows(ledger)] == ["stopped"]
    assert [one.state for one in await rows(ledger, notifications)] == ["deferred"]


async def test_what_has_expired_waits_for_no_rate_and_takes_none(ledger, runtime_of):
    channel = MemoryChannel()
    runtime = runtime_of(channel, memory=Provider(url="smtp://h", rate=0.01))
    dispatch, members = await begun(runtime, 4, expires_at=now() + timedelta(seconds=0.5))
    began = monotonic()
    moved, _ = await dispatch.send(members)
    assert monotonic() - began < 3
    assert sorted(one.state for one in moved) == ["expired"] * 3 + ["sent"]


async def test_what_is_in_doubt_goes_over_no_other_provider_when_its_own_has_no_time_left(ledger, runtime_of):
    first, second = MemoryChannel("first"), MemoryChannel("second")
    runtime = runtime_of(first, second)
    for _ in range(3):
        runtime.providers.state("first").record_failure("refused")
    dispatch, members = await begun(runtime, in_doubt=1, expires_at=now() + timedelta(seconds=2))
    moved, down = await dispatch.send(members)
    assert moved == []
    [deferred] = await dispatch.defer(members, down)
    assert (deferred.state, deferred.refused) == ("failed", False)


async def test_what_is_in_doubt_stays_with_its_provider_when_their_order_changes_and_waits_when_it_is_gone(
    ledger, runtime_of
):
    first, second = MemoryChannel("first"), MemoryChannel("second")
    first.answer = lambda _: classify.lost(Phase.DOT, "connection lost")
    runtime = runtime_of(first, second)
    dispatch, members = await begun(runtime)
    await dispatch.send(members)
    await runtime.recorder.close()

    async def again(*channels):
        later = delivery_run_in(runtime_of(*channels), Batch(NOTE, dispatch.outcomes.batch, members))
        note = replace(members[0].rendered.notification, in_doubt=1)
        return later, await later.prepare(
            [Delivery(replace(members[0].rendered, notification=note), State.CLAIMED)]
        )

    later, [one] = await again(second, first)
    assert later.router.step(one)[1] is first
    _, [one] = await again(second)
    assert (one.state, one.reason) == (
        State.DEFERRED,
        "first may have delivered it, but no longer serves note",
    )


async def test_addresses_a_provider_repeats_are_not_told_of_its_circuit(ledger, caplog, runtime_of):
    runtime = runtime_of(MemoryChannel())
    standing = runtime.providers.state("memory")
    words = "blocked: ada.lovelace@a.example"
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            standing.record_outcome("a.example", Outcome(Verdict.REFUSED, Phase.MAIL, 550, "5.7.1", words))
    assert " is open" in caplog.text
    assert "ada.lovelace" not in caplog.text + standing.describe()
