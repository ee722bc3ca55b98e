"""More runs than slots: a slot that becomes free is filled at once, and an idle worker rests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.processes.polling import poll
from waypost.deployments.resident_worker.run_slots import RunSlots
from waypost.model.priority import Priority

pytestmark = pytest.mark.anyio
SLOTS = 10


@dataclass(frozen=True)
class Run:
    id: UUID = field(default_factory=uuid4)


class Worker:
    """A worker whose runs take a moment, over a list of scheduled runs of a lane."""

    def __init__(self, runs: int, lane: Priority) -> None:
        self.scheduled = [Run() for _ in range(runs)]
        self.lane = lane
        self.polls = 0
        self.ended = asyncio.Event()
        self.slots: RunSlots[Run] = RunSlots(SLOTS, self._begin, lambda: None)

    async def _begin(self, run: Run, ours: bool) -> None:
        self.scheduled.remove(run)
        await asyncio.sleep(0.01)
        if not self.scheduled:
            self.ended.set()

    async def get_and_submit_flow_runs(self) -> list[Run]:
        self.polls += 1
        if self.slots.full:
            return []
        return self.slots.start_scheduled([(run, self.lane) for run in self.scheduled])


async def polling(worker: Worker, until, seconds=60.0):
    stop = asyncio.Event()
    task = asyncio.create_task(poll(worker, PrefectOutage(), lambda: True, seconds, stop, lambda: None))
    async with asyncio.timeout(30):
        await until
    stop.set()
    await task


@pytest.mark.parametrize("lane", list(Priority))
async def test_runs_that_found_no_slot_begin_as_soon_as_a_run_ends(lane):
    worker = Worker(6 * SLOTS, lane)
    await polling(worker, worker.ended.wait())
    assert worker.polls < 6 * SLOTS


async def test_an_end_with_nothing_left_out_wakes_nobody():
    worker = Worker(3, Priority.NORMAL)
    await polling(worker, asyncio.sleep(0.3))
    assert worker.polls == 1
