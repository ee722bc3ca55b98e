"""The resident worker: takes runs once, cancels what was cancelled, says what it cannot start."""

import asyncio
import gc
from contextlib import asynccontextmanager
from contextvars import copy_context

import pytest
from ledgers import Note, rows
from noteflow import note
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Cancelling
from uuid_utils.compat import uuid7

from deployments.listening import Listening
from deployments.worker import ResidentWorker
from waypost import Recipient, Request
from waypost.channels.memory import MemoryChannel
from waypost.notification import Delivery

pytestmark = pytest.mark.anyio


class SlowChannel(MemoryChannel):
    """Takes a tenth of a second a message."""

    async def send(self, message):
        await asyncio.sleep(0.1)
        return await super().send(message)


class KeepingChannel(MemoryChannel):
    """Keeps the context it sends in, as a connection keeps the one it is opened in."""

    async def send(self, message):
        self.context = copy_context()
        return await super().send(message)


def asks(count):
    request = [
        Request[Note](recipient=Recipient(id=f"r{n}", email=f"r{n}@a.example"), data=Note())
        for n in range(count)
    ]
    return [one.model_dump(mode="json", exclude_none=True) for one in request]


@asynccontextmanager
async def working(client, entrypoint="noteflow.note", workers=1):
    """A pool and deployment of their own with so many workers on them; yields the deployment's id."""
    pool = f"pool-{uuid7().hex}"
    template = ResidentWorker.get_default_base_job_template()
    await client.create_work_pool(WorkPoolCreate(name=pool, type="resident", base_job_template=template))
    flow_id = await client.create_flow(note)
    deployment = await client.create_deployment(
        flow_id=flow_id, name=pool, work_pool_name=pool, entrypoint=entrypoint,
        parameter_openapi_schema=note.parameters.model_dump_for_openapi(),
    )  # fmt: skip
    stop = asyncio.Event()

    async def work():
        async with ResidentWorker(pool, name=f"w-{uuid7().hex}") as worker:
            while not stop.is_set():
                await worker.get_and_submit_flow_runs()
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    yield deployment
    stop.set()
    await asyncio.gather(*tasks)


async def ended(client, run):
    for _ in range(300):
        run = await client.read_flow_run(run.id)
        if run.state.is_final():
            return run.state
        await asyncio.sleep(0.1)
    raise AssertionError("the run did not end")


async def test_of_two_workers_one_takes_the_run(bench, client):
    async with working(client, workers=2) as deployment:
        runs = [
            await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
            for _ in range(5)
        ]
        states = [await ended(client, run) for run in runs]
    assert [state.type.value for state in states] == ["COMPLETED"] * 5
    assert len(bench.primary.sent) == 10


async def test_cancelling_in_the_ui_stops_it_between_messages(bench, client):
    slow = bench.runtime.channels[0] = SlowChannel("slow", places=2)
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(200)})
        while len(slow.sent) < 4:
            await asyncio.sleep(0.05)
        await client.set_flow_run_state(run.id, Cancelling())
        state = await ended(client, run)
        while state.name != "Cancelled":
            state = await ended(client, run)
    states = [row.state for row in await rows(bench.runtime.ledger)]
    assert states.count("sent") == len(slow.sent) < 200
    # One whose attempt was written down and that was not sent any more is deferred.
    assert set(states) - {"deferred"} == {"sent", "claimed"}, (
        "none is left between its sending and its record"
    )


async def test_what_outlives_a_run_keeps_none_of_its_messages(bench, client):
    keeping = bench.runtime.channels[0] = KeepingChannel("keeping", places=2)
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(3)})
        await ended(client, run)
    sent = {message.notification.id for message in keeping.sent}
    gc.collect()
    left = [one for one in gc.get_objects() if type(one) is Delivery and one.notification.id in sent]
    assert (len(sent), left) == (3, [])


async def test_a_flow_that_cannot_be_loaded_is_a_crashed_run(bench, client):
    async with working(client, entrypoint="noteflow.gone") as deployment:
        run = await client.create_flow_run_from_deployment(deployment)
        state = await ended(client, run)
    assert state.is_crashed()
    assert "could not start" in state.message


async def test_prefect_tells_of_a_new_run_by_itself(bench, client):
    heard, stop = asyncio.Event(), asyncio.Event()
    listening = Listening(heard.set)
    task = asyncio.create_task(listening.run(stop))
    await asyncio.wait_for(heard.wait(), 10)
    assert listening.on
    pool = f"pool-{uuid7().hex}"
    deployment = await client.create_deployment(
        flow_id=await client.create_flow(note), name=pool, entrypoint="noteflow.note"
    )
    heard.clear()
    await client.create_flow_run_from_deployment(deployment)
    await asyncio.wait_for(heard.wait(), 5)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert not listening.on
