"""Runs of the note's flow that a resident worker in the test's process takes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from prefect.client.schemas.actions import WorkPoolCreate
from uuid_utils.compat import uuid7

from support.ledger import Note
from support.note_flow import note
from waypost import Recipient, Request
from waypost.channels.memory import MemoryChannel
from waypost.deployments.resident_worker.worker import ResidentWorker


class SlowChannel(MemoryChannel):
    """Takes a tenth of a second a message."""

    async def send(self, message):
        await asyncio.sleep(0.1)
        return await super().send(message)


def asks(count):
    request = [
        Request[Note](recipient=Recipient(id=f"r{n}", email=f"r{n}@a.example"), data=Note())
        for n in range(count)
    ]
    return [one.model_dump(mode="json", exclude_none=True) for one in request]


@asynccontextmanager
async def working(client, entrypoint="support.note_flow.note", workers=1):
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
