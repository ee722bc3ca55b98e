"""The resident worker: takes runs once, cancels what was cancelled, says what it cannot start."""

import asyncio
import gc
import threading
import time
from contextvars import copy_context
from urllib.parse import urlsplit

import pytest
from chaos.line import line
from prefect.client.orchestration import PrefectClient, SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending
from support.ledger import rows
from support.note_flow import note
from support.resident import SlowChannel, asks, ended, working
from uuid_utils.compat import uuid7

from waypost.channels.memory import MemoryChannel
from waypost.deployments.processes.flush import flush_prefect
from waypost.deployments.resident_worker.run_events import RunEvents
from waypost.deployments.resident_worker.worker import ResidentWorker
from waypost.deployments.stopping import STOPPED
from waypost.ledger.database.tables import batches
from waypost.model.notification import Delivery
from waypost.model.priority import Priority

pytestmark = pytest.mark.anyio


class KeepingChannel(MemoryChannel):
    """Keeps the context it sends in, as a connection keeps the one it is opened in."""

    async def send(self, message):
        self.context = copy_context()
        return await super().send(message)


async def holds(seen):
    """Note the longest stretch of seconds between two turns of the loop in `seen`, until cancelled."""
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.01)
        moment = time.monotonic()
        seen.append(moment - last)
        last = moment


async def test_of_two_workers_one_takes_the_run(bench, client):
    async with working(client, workers=2) as deployment:
        runs = [
            await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
            for _ in range(5)
        ]
        states = [await ended(client, run) for run in runs]
    assert [state.type.value for state in states] == ["COMPLETED"] * 5
    assert len(bench.primary.sent) == 10


async def test_the_batch_of_a_run_whose_parameters_are_invalid_ends_with_it(bench, client):
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requestz": []})
        state = await ended(client, run)
    assert "requestz: no such field" in state.message
    [batch] = await rows(bench.runtime.ledger, batches)
    assert (batch.flow_run_id, batch.ended_at is not None, batch.summary) == (
        run.id,
        True,
        "its run failed first",
    )


async def test_a_run_that_the_dispatcher_begins_makes_no_api_client(bench, client, monkeypatch):
    """The dispatcher's tasks are older than the worker's clients."""
    older, made = copy_context(), []
    async with working(client, workers=0) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
        pool = (await client.read_deployment(deployment)).work_pool_name
        async with ResidentWorker(pool) as worker:
            for one in (PrefectClient, SyncPrefectClient):
                monkeypatch.setattr(one, "__init__", counted(one.__init__, made))
            await client.set_flow_run_state(run.id, Pending())
            older.run(worker.take, run, Priority.NORMAL)
            await asyncio.gather(*(one.task for one in worker.slots.runs.values()))
    assert (len(bench.primary.sent), made) == (2, [])


def counted(code, calls):
    def run(*arguments, **named):
        if threading.current_thread() is threading.main_thread():  # Prefect's log has a thread with a client
            calls.append(arguments)
        return code(*arguments, **named)

    return run


@pytest.mark.long
async def test_a_slow_prefect_does_not_hold_the_event_loop(bench, server):
    delay, seen = 2.0, []
    with (
        line(urlsplit(server.api).port) as slow,
        temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{slow.port}/api"}),
    ):
        async with get_client() as client, working(client) as deployment:
            slow.delay = delay
            made = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
            watching = asyncio.create_task(holds(seen))
            await ended(client, made)
            watching.cancel()
            slow.delay = 0.0
        await flush_prefect()
    assert len(bench.primary.sent) == 2
    assert max(seen) < delay / 2


async def test_what_outlives_a_run_keeps_none_of_its_messages(bench, client):
    keeping = bench.runtime.providers.channels[0] = KeepingChannel("keeping", permits=2)
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(3)})
        await ended(client, run)
    sent = {message.notification.id for message in keeping.sent}
    gc.collect()
    left = [one for one in gc.get_objects() if type(one) is Delivery and one.notification.id in sent]
    assert (len(sent), left) == (3, [])


async def test_a_flow_that_cannot_be_loaded_is_a_crashed_run(bench, client):
    async with working(client, entrypoint="support.note_flow.gone") as deployment:
        run = await client.create_flow_run_from_deployment(deployment)
        state = await ended(client, run)
    assert state.is_crashed()
    assert "could not start" in state.message


async def test_a_flow_whose_own_code_exits_fails_its_run_and_gives_its_batch_back(bench, client):
    async with working(client, entrypoint="support.note_flow.exiting_note") as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
        state = await ended(client, run)
        while any(row.state == "claimed" for row in await rows(bench.runtime.ledger)):
            await asyncio.sleep(0.05)
    assert state.is_failed()
    assert "exiting-note failed: SystemExit at" in state.message
    assert "hunter2" not in state.message
    assert all(row.suspicion for row in await rows(bench.runtime.ledger))


async def test_a_run_that_the_workers_stop_cuts_short_says_so_in_our_words(bench, client):
    slow = bench.runtime.providers.channels[0] = SlowChannel("slow", permits=1)
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(400)})
        while not slow.sent:
            await asyncio.sleep(0.05)
    state = await ended(client, run)
    assert (state.is_crashed(), state.message) == (True, STOPPED)


async def test_prefect_tells_of_a_new_run_by_itself(bench, client):
    heard, stop = asyncio.Event(), asyncio.Event()
    listening = RunEvents(heard.set)
    task = asyncio.create_task(listening.run(stop))
    await asyncio.wait_for(heard.wait(), 60)
    assert listening.on
    pool = f"pool-{uuid7().hex}"
    deployment = await client.create_deployment(
        flow_id=await client.create_flow(note), name=pool, entrypoint="support.note_flow.note"
    )
    heard.clear()
    await client.create_flow_run_from_deployment(deployment)
    await asyncio.wait_for(heard.wait(), 60)
    stop.set()
    await asyncio.wait_for(task, 60)
    assert not listening.on
