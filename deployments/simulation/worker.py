"""A simulated worker: a real worker's slots, loops and steps in a scripted world."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from waypost import Batch, NotificationType
from waypost.channels.channel import Channel
from waypost.delivery.runtime import Runtime
from waypost.deployments.dispatcher.dispatcher import Dispatcher
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.runs import PrefectAway, Progress
from waypost.deployments.processes import without_prefect
from waypost.deployments.processes.housekeeping import Intervals, Work, chores, every
from waypost.deployments.processes.polling import poll
from waypost.deployments.resident_worker.run_slots import RunSlots
from waypost.deployments.resident_worker.run_steps import LEDGER_AWAY_SECONDS, LedgerAway, take_and_run
from waypost.deployments.simulation.database import GatedLedger
from waypost.deployments.simulation.fake_prefect import FakePrefectApi, GatedRuns, Run
from waypost.deployments.simulation.fake_provider import ScriptedProvider
from waypost.deployments.simulation.process import Process
from waypost.deployments.simulation.types import TYPES, take_steps
from waypost.deployments.simulation.world import LEASE, World
from waypost.ledger.queue.claims import Claim
from waypost.ledger.queue.reaper import Reaper, Reclaimed
from waypost.model.notification import Notification
from waypost.model.priority import Priority
from waypost.tasks.faults import guarded
from waypost.tasks.run_context import simulated_run

SLOTS = 3
POLL_SECONDS = 1.0
INTERVALS = Intervals(reap=2.4, reconcile=10.0, prune=12.0)

Steps = Callable[..., Awaitable[Any]]


class Worker:
    """A process's dispatcher, runs and periodic tasks. Its calls to Prefect go to the scripted one."""

    def __init__(self, world: World, process: Process, runtime: Runtime) -> None:
        self.world = world
        self.process = process
        self.runtime = runtime
        self._outage = PrefectOutage(world.time)
        self._api = FakePrefectApi(world.server, process, self._outage)
        self._runs = GatedRuns(self._api, self, world.ownership)
        self.slots: RunSlots[Run] = RunSlots(SLOTS, self._begin, lambda: self._dispatcher.wake(), world.time)
        self._dispatcher = Dispatcher(
            ledger=runtime.ledger,
            types=TYPES,
            runs=self._runs,
            worker=self.slots,
            leases=runtime.leases,
            outage=self._outage,
            deliver=self._deliver_directly,
            is_stopped=lambda _: False,
            slots=SLOTS,
            starts_within=LEASE.total_seconds(),
            steady=world.time,
        )

    async def work(self) -> None:
        """Be a worker until killed."""
        stop, time = asyncio.Event(), self.world.time
        self.world.listeners.append((self.process, self._dispatcher.wake))
        self.process.spawn(self._dispatcher.run(stop))
        reaper = Reaper(self.runtime.ledger, TYPES, time)
        days = self.world.retention_days
        for seconds, chore in chores(self.runtime.ledger, reaper, self._runs, days, self._judge, INTERVALS):
            self.process.spawn(every(seconds, partial(self._do, chore), stop))
        await poll(self, self._outage, lambda: False, POLL_SECONDS, stop, lambda: None, time)

    async def _do(self, chore: Work) -> None:
        """Do a chore, whose error is retried: any error but a scripted one is trouble."""
        try:
            await chore()
        except Exception as error:
            self.process.examine(error)
            raise

    def _judge(self, found: Reclaimed) -> None:
        self.world.judge_reclaimed(found.batch)

    def may_take(self, lane: Priority) -> bool:
        """See FakeRunner."""
        return not self.world.faults.limited and self.slots.has_room(lane)

    def take(self, run: Run) -> None:
        """See FakeRunner."""
        self.slots.start(run, run.lane, ours=True)

    async def get_and_submit_flow_runs(self) -> list[Run]:
        """See Polling."""
        self.process.skew = self.world.jumped(self.process.skew)
        server = await self._api.ask("looks for runs")
        return self.slots.start_scheduled((run, run.lane) for run in server.waiting())

    async def _begin(self, run: Run, ours: bool) -> None:
        try:
            with suppress(PrefectAway):
                await take_and_run(self, run, ours=ours, stopping=lambda: False)
        except LedgerAway:
            await asyncio.sleep(LEDGER_AWAY_SECONDS)
        except Exception as error:
            self.process.examine(error)

    def has_batch(self, run: Run) -> bool:
        """See RunCalls."""
        return run.claim is not None

    async def type_of(self, run: Run) -> NotificationType | None:
        """See RunCalls."""
        return TYPES[run.type]

    async def claim(self, run: Run) -> bool:
        """See RunCalls."""
        return (await self._api.ask("makes a run Pending")).give(run)

    async def run_flow(self, run: Run) -> BaseException | None:
        """See RunCalls."""
        await self._api.ask("makes a run Running")
        run.progress = Progress.RUNNING
        failed = None
        try:
            with simulated_run(run.id):
                await self._steps_of(run.type)(run.requests, run.claim and run.claim.id)
        except Exception as error:
            self.process.examine(error)
            failed = error
        await self._api.ask("says that a run has ended")
        run.progress = Progress.ENDED
        return failed

    async def _deliver_directly(self, claim: Claim) -> None:
        await without_prefect.take_steps(claim, TYPES[claim.type], self._steps_of(claim.type))

    def _steps_of(self, type: str) -> Steps:
        """The code of the type's flow, guarded as a worker guards it."""
        ownership = self.world.ownership

        def having(taken: Batch[Notification]) -> Any:
            return ownership.taken(taken, self.process)

        async def steps(requests: Any = (), batch: UUID | None = None) -> None:
            with ownership.at_work():
                await take_steps(TYPES[type], having, requests, batch)

        return guarded(steps, type)


async def work(process: Process, world: World) -> None:
    """Be a worker until killed. Each start shuffles its providers, as a change of settings may."""
    ledger = GatedLedger(world.database, process, world.faults, LEASE)
    channels: list[Channel] = [
        ScriptedProvider(name, process, world.faults, mailbox, world.late, world.journal.illegal.append)
        for name, mailbox in world.faults.shuffled(world.mailboxes.items())
    ]
    runtime = Runtime(world.settings, ledger, channels, world.templates)
    runtime.adopt()
    await Worker(world, process, runtime).work()
