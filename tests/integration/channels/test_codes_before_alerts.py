"""A code does not wait behind a flood of alerts, although both are urgent."""

import asyncio
from dataclasses import replace

import pytest
from support.flow_steps import within
from support.ledger import NOTE, accepted

from waypost import Batch, Category
from waypost.channels.memory import MemoryChannel
from waypost.ledger.queue import claims
from waypost.model.priority import Priority
from waypost.tasks.deliver import deliver
from waypost.tasks.render import render
from waypost.tasks.run_context import without_prefect

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
URGENT = Priority.URGENT
PERMITS, ALERTS = 4, 40


class StepwiseChannel(MemoryChannel):
    """Takes a message whenever the test lets it. begun: the notifications that went on the wire, in order."""

    def __init__(self):
        super().__init__(permits=PERMITS)
        self.begun = []
        self.takes = asyncio.Semaphore(0)

    async def send(self, message):
        self.begun.append(message.notification.id)
        await self.takes.acquire()
        return await super().send(message)


async def start(runtime, category, count):
    """Begin a run of so many urgent notifications of a category. Returns its task and their ids."""
    type = replace(NOTE, category=category)
    claim = await claims.reserve(runtime.ledger, type.name, URGENT, count)
    taken = await claims.take_up(runtime.ledger, type.name, claim.id)

    async def send():
        with without_prefect():
            return await deliver(await render(Batch(type, claim.id, taken.notifications)))

    return asyncio.create_task(within(runtime, send())), {one.id for one in taken.notifications}


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_code_has_the_next_free_place(ledger, runtime_of):
    channel = StepwiseChannel()
    runtime = runtime_of(channel)
    await accepted(ledger, ALERTS, priority=URGENT)
    alerts = [await start(runtime, Category.ALERT, ALERTS // 2) for _ in range(2)]
    await until(lambda: len(channel.begun) == PERMITS and channel.permits.wanted(URGENT))
    await accepted(ledger, 2, priority=URGENT)
    codes, ids = await start(runtime, Category.SECURITY, 2)
    await until(lambda: channel.permits.wanted(URGENT, by_others_of_it=False))
    for begun in range(PERMITS + 1, PERMITS + 4):
        channel.takes.release()
        await until(lambda count=begun: len(channel.begun) == count)
    assert set(channel.begun[PERMITS : PERMITS + 2]) == ids
    assert channel.begun[PERMITS + 2] not in ids, "the alerts go on"
    for _ in range(ALERTS):
        channel.takes.release()
    await asyncio.gather(codes, *(run for run, _ in alerts))
    assert len(channel.sent) == ALERTS + 2
