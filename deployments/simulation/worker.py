"""A simulated worker: the real dispatcher, reaper, reconciler, leases and steps in a scripted world."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast
from uuid import UUID

from deployments.dispatcher import reconciler
from deployments.dispatcher.dispatcher import Dispatcher
from deployments.dispatcher.outage import PrefectOutage
from deployments.dispatcher.prefect_runs import PrefectRuns
from deployments.dispatcher.runs import PrefectAway, Progress
from deployments.simulation.database import GatedLedger
from deployments.simulation.fake_prefect import FakePrefectApi, GatedRuns, Run
from deployments.simulation.fake_provider import ScriptedProvider
from deployments.simulation.process import Process
from deployments.simulation.types import DIGEST, RECEIPT, TYPES, compose, take_steps
from deployments.simulation.world import LEASE, World
from tasks.run_context import without_prefect
from waypost.channels.channel import Channel
from waypost.delivery.runtime import Runtime
from waypost.ledger import NotRecorded
from waypost.ledger.intake import accept
from waypost.ledger.operations import retention
from waypost.ledger.queue import batches, digests
from waypost.ledger.queue.claims import Claim
from waypost.ledger.queue.reaper import Reaper
from waypost.model.priority import Priority
from waypost.policy.lanes import free_slots

SLOTS = 3
POLL_SECONDS = 1.0
REAP_SECONDS = 2.4
TELL_SECONDS = 10.0
PRUNE_SECONDS = 12.0


class Worker:
    """The part of a process that takes runs and runs them, as the resident worker does."""

    def __init__(self, around: World, process: Process, runtime: Runtime) -> None:
        self.around = around
        self.process = process
        self.runtime = runtime
        self.on_end: Callable[[], None] = lambda: None
        self._outage = PrefectOutage(around.time)
        self._lanes: dict[UUID, Priority] = {}
        self._line = FakePrefectApi(around.server, process, self._outage)
        self._runs = GatedRuns(self._line, self, around.ownership)

    def lanes(self) -> dict[UUID, Priority]:
        return self._lanes

    def may_take(self, lane: Priority) -> bool:
        return not self.around.faults.limited and self._has_room(lane)

    def _has_room(self, lane: Priority) -> bool:
        return free_slots(lane, Counter(self._lanes.values()), SLOTS) > 0

    def take(self, run: Run) -> None:
        self._start(run, ours=True)

    def begin(self) -> None:
        """Start the dispatcher and the periodic tasks."""
        ledger, time = self.runtime.ledger, self.around.time
        dispatcher = Dispatcher(
            ledger=ledger,
            types=TYPES,
            runs=self._runs,
            worker=self,
            leases=self.runtime.leases,
            outage=self._outage,
            deliver=self._deliver_directly,
            is_stopped=lambda _: False,
            slots=SLOTS,
            starts_within=LEASE.total_seconds(),
            steady=time,
        )
        self.on_end = dispatcher.wake
        self.around.listeners.append((self.process, dispatcher.wake))
        self.process.spawn(dispatcher.run(asyncio.Event()))
        reaper = Reaper(ledger, TYPES, time)
        self._every(REAP_SECONDS, lambda: self._reap(reaper))
        # The reconciler asks for PrefectRuns, and uses only what GatedRuns has too.
        self._every(TELL_SECONDS, lambda: reconciler.tell(ledger, cast(PrefectRuns, self._runs)))
        if (days := self.around.retention_days) is not None:
            self._every(PRUNE_SECONDS, lambda: retention.prune(ledger, days))

    def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        async def again_and_again() -> None:
            while True:
                with suppress(OSError, PrefectAway):
                    await work()
                await asyncio.sleep(seconds)

        self.process.spawn(again_and_again())

    async def _reap(self, reaper: Reaper) -> None:
        for found in await reaper.look():
            self.around.judge_reclaimed(found.batch)

    async def look(self) -> None:
        """Take scheduled runs, as far as there is room."""
        with suppress(PrefectAway):
            server = await self._line.ask("looks for runs")
            for run in server.waiting():
                if run.id not in self._lanes and self._has_room(run.lane):
                    self._start(run, ours=False)

    def _start(self, run: Run, *, ours: bool) -> None:
        if run.id not in self._lanes:
            self._lanes[run.id] = run.lane
            self.process.spawn(self._take(run, ours))

    async def _take(self, run: Run, ours: bool) -> None:
        with suppress(OSError, PrefectAway):
            announced = await self._announce(run)
            if ours or (await self._line.ask("makes a run Pending")).give(run):
                await self._hold_and_run(run, announced)
        self._lanes.pop(run.id, None)
        self.on_end()

    async def _announce(self, run: Run) -> UUID | None:
        if run.claim is not None:
            return None
        return await batches.open_for_run(self.runtime.ledger, TYPES[run.type], run.id)

    async def _hold_and_run(self, run: Run, announced: UUID | None) -> None:
        leases = self.runtime.leases
        with leases.over_a_run():
            if announced is not None:
                leases.hold_for_run(announced)
            await self._line.ask("makes a run Running")
            run.progress = Progress.RUNNING
            # A run that fails is over like any other: the ledger decides.
            with suppress(OSError, NotRecorded):
                await self._deliver(run.type, await self._batch(run))
        await self._line.ask("says that a run has ended")
        run.progress = Progress.ENDED

    async def _batch(self, run: Run) -> UUID:
        """The batch of the run; without one, opened as the first task of a flow does."""
        ledger = self.runtime.ledger
        if run.claim is not None:
            return run.claim.id
        if run.type == DIGEST.name:
            batch, _ = await digests.bundle(ledger, DIGEST, RECEIPT.name, compose, run.id)
        else:
            batch, _ = await accept.accept_for_run(ledger, TYPES[run.type], run.requests, run.id)
        return batch

    async def _deliver_directly(self, claim: Claim) -> None:
        with self.runtime.leases.over_a_run():
            await self._deliver(claim.type, claim.id)

    async def _deliver(self, type: str, batch: UUID) -> None:
        ownership = self.around.ownership
        with without_prefect(), ownership.at_work():
            await take_steps(TYPES[type], batch, lambda taken: ownership.taken(taken, self.process))


async def work(process: Process, around: World) -> None:
    """Be a worker until killed. Each start shuffles its providers, as a change of settings may."""
    ledger = GatedLedger(around.database, process, around.faults, LEASE)
    channels: list[Channel] = [
        ScriptedProvider(name, process, around.faults, mailbox, around.late, around.journal.illegal.append)
        for name, mailbox in around.faults.shuffled(around.mailboxes.items())
    ]
    runtime = Runtime(around.settings, ledger, channels, around.templates)
    runtime.adopt()
    worker = Worker(around, process, runtime)
    worker.begin()
    while True:
        await worker.look()
        process.skew = around.jumped(process.skew)
        await asyncio.sleep(POLL_SECONDS)
