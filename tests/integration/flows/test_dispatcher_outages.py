"""The dispatcher without Prefect: what is urgent goes directly, the rest waits or is left to others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName, FlowRunFilterTags
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.dispatcher import accepted, claimed_runs
from support.ledger import rows
from support.requests import alert, order

from waypost.deployments.dispatcher import dispatcher as dispatcher_module
from waypost.deployments.dispatcher import reconciler
from waypost.deployments.dispatcher.dispatcher import GIVEN_BACK_AFTER, URGENT_AFTER
from waypost.deployments.dispatcher.runs import PrefectAway
from waypost.ledger.database.tables import attempts, batches

pytestmark = pytest.mark.anyio
NOWHERE = "http://127.0.0.1:9/api"


async def test_a_worker_cut_off_from_prefect_leaves_what_is_not_urgent_to_others(
    bench, client, dispatching, steady
):
    ledger = bench.runtime.ledger
    await accepted(bench, "order-confirmation", order("1"))
    await accepted(bench, "alert", alert())
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        away = PrefectClient(NOWHERE)
    async with away, dispatching(away) as cut_off, dispatching() as other:
        with pytest.raises(PrefectAway):
            await cut_off.tick()
        await cut_off.tick()
        assert [row.ending for row in await rows(ledger, batches)] == [None, None]
        steady.time += GIVEN_BACK_AFTER
        await cut_off.tick()
        endings = {row.type: row.ending for row in await rows(ledger, batches)}
        assert endings == {"order-confirmation": "returned", "alert": None}
        await other.tick()
    [run] = await claimed_runs(bench, client)
    assert run.name == "1 order-confirmation"


async def test_what_is_urgent_waits_for_a_run_that_does_not_begin_no_longer_than_for_a_prefect_that_is_away(
    bench, dispatching, steady, monkeypatch
):
    """No outage: the run was made and is in hand here, where it waits for Prefect again and again."""
    await accepted(bench, "alert", alert())
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        made = {one.run: one.claim.priority for one in dispatcher._in_flight.values()}
        monkeypatch.setattr(dispatcher.worker, "lanes", lambda: made)
        await dispatcher.tick()
        steady.time += URGENT_AFTER - 1
        pause = await dispatcher.tick()
        assert pause <= 1, "it looks again in time"
        assert bench.primary.sent == []
        steady.time += pause
        await dispatcher.tick()
        await asyncio.gather(*(one.direct for one in dispatcher._in_flight.values() if one.direct))
    assert [message.notification.type for message in bench.primary.sent] == ["alert"]


async def test_what_is_urgent_does_not_go_directly_because_its_run_waited_for_a_slot(
    bench, dispatching, steady, monkeypatch
):
    await accepted(bench, "alert", alert())
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        [batch] = dispatcher._in_flight.values()
        for _ in range(30):
            steady.time += 1
            assert await dispatcher.tick() <= 1, "it sees soon that the run begins"
        monkeypatch.setattr(dispatcher.worker, "lanes", lambda: {batch.run: batch.claim.priority})
        await dispatcher.tick()
        steady.time += URGENT_AFTER - 1
        await dispatcher.tick()
        assert batch.direct is None
        steady.time += 1
        await dispatcher.tick()
        await batch.direct
    assert len(bench.primary.sent) == 1


async def test_what_waits_for_a_worker_or_was_stopped_in_prefect_does_not_go_without_it(
    bench, dispatching, steady
):
    await accepted(bench, "alert", alert())
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        steady.time += 2 * URGENT_AFTER
        await dispatcher.tick()
        assert not any(one.direct for one in dispatcher._in_flight.values())
        dispatcher.is_stopped = lambda lane: True
        dispatcher.outage.failed(OSError())
        steady.time += 2 * URGENT_AFTER
        await dispatcher._send_urgent_without_prefect()
        assert not any(one.direct for one in dispatcher._in_flight.values())
        dispatcher.is_stopped = lambda lane: False
        await dispatcher._send_urgent_without_prefect()
        assert all(one.direct for one in dispatcher._in_flight.values())


async def test_what_is_urgent_goes_while_a_turn_waits_for_prefect(bench, dispatching, steady, monkeypatch):
    """Prefect takes the question, and says nothing."""
    monkeypatch.setattr(dispatcher_module, "URGENT_LOOK_SECONDS", 0.02)
    async with silence() as api, PrefectClient(api) as silent, dispatching(silent) as dispatcher:
        await accepted(bench, "order-confirmation", order("1"))
        looking = asyncio.create_task(dispatcher._look())
        await until(lambda: dispatcher._in_flight)
        await accepted(bench, "alert", alert())
        await until(lambda: dispatcher._since)
        assert bench.primary.sent == []
        steady.time += URGENT_AFTER
        await until(lambda: bench.primary.sent)
        assert not looking.done()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_a_dispatcher_that_stops_leaves_what_it_claimed_to_others(bench, dispatching):
    """Prefect does not answer, so that no run takes it up."""
    stop = asyncio.Event()
    async with silence() as api, PrefectClient(api) as silent, dispatching(silent, stop=stop) as dispatcher:
        await accepted(bench, "order-confirmation", order("1"))
        running = asyncio.create_task(dispatcher.run(stop))
        await until(lambda: dispatcher._in_flight)
        stop.set()
        await asyncio.wait_for(running, 60)
    assert [row.ending for row in await rows(bench.runtime.ledger, batches)] == ["returned"]


async def until(happened):
    async with asyncio.timeout(60):
        while not happened():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def silence():
    """Where connections are taken, and nothing is ever said."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"


async def test_without_prefect_only_what_is_urgent_goes_and_prefect_hears_of_it(
    bench, client, dispatching, steady, monkeypatch
):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    await accepted(bench, "order-confirmation", order("1"))
    await accepted(bench, "alert", alert())
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        away = PrefectClient(NOWHERE)
    async with away, dispatching(away) as dispatcher:
        steady.time = 1.0
        with pytest.raises(Exception, match="does not respond"):
            await dispatcher.tick()
        await dispatcher.tick()
        assert bench.primary.sent == [], "not at once"
        steady.time += URGENT_AFTER
        await dispatcher.tick()
        for flight in dispatcher._in_flight.values():
            if flight.direct:
                await flight.direct
    assert [message.notification.type for message in bench.primary.sent] == ["alert"]
    [attempt] = await rows(bench.runtime.ledger, attempts)
    assert attempt.flow_run_id is None
    async with dispatching() as dispatcher:
        await reconciler.reconcile(bench.runtime.ledger, dispatcher.runs)
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=["without-prefect"]),
        name=FlowRunFilterName(like_="alert"),
    )
    ours = {str(row.id) for row in await rows(bench.runtime.ledger, batches)}
    found = await client.read_flow_runs(flow_run_filter=wanted)
    [run] = [run for run in found if run.parameters["batch"] in ours]
    assert run.state.is_completed()
    assert "without Prefect" in run.state.message
