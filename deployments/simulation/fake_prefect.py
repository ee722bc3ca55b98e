"""A scripted Prefect: keeps runs, has outages, lets runs crash, and gives a run to two workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.runs import PrefectAway, Progress
from waypost.deployments.simulation.faults import Faults
from waypost.deployments.simulation.ownership import Ownership
from waypost.deployments.simulation.process import Process
from waypost.deployments.simulation.types import TYPES, NoteRequest
from waypost.ledger.queue.claims import Claim
from waypost.model.priority import Priority
from waypost.system.ids import new_id


@dataclass(slots=True)
class Run:
    """A run as the server knows it: of a batch, or with requests of its own, or (without either) of a
    digest. taker: the process for which it was created Pending."""

    id: UUID
    type: str
    lane: Priority
    claim: Claim | None = None
    requests: Sequence[NoteRequest] = ()
    taker: Process | None = None
    progress: Progress = Progress.WAITING


class FakePrefect:
    """The server that all processes share."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.runs: dict[UUID, Run] = {}
        self._by_batch: dict[UUID, Run] = {}

    def create(self, claim: Claim, taker: Process | None) -> Run:
        """The run of a batch, Pending for `taker` or waiting for a worker; another call returns the same."""
        if claim.id not in self._by_batch:
            run = self._by_batch[claim.id] = self._keep(Run(new_id(), claim.type, claim.priority, claim))
            run.taker = taker
            if taker is not None:
                run.progress = Progress.STARTING
            if self.faults.goes_astray():
                run.progress = Progress.ENDED  # a person cancelled it, or marked it crashed
        return self._by_batch[claim.id]

    def typed(self, type: str, requests: Sequence[NoteRequest] = ()) -> Run:
        """Create a run without a batch, as a person who types requests into Prefect does, or a schedule."""
        return self._keep(Run(new_id(), type, TYPES[type].lane, requests=requests))

    def _keep(self, run: Run) -> Run:
        self.runs[run.id] = run
        return run

    def waiting(self) -> list[Run]:
        """The scheduled runs, the most urgent first."""
        found = [run for run in self.runs.values() if run.progress is Progress.WAITING]
        return sorted(found, key=lambda run: run.lane.rank)

    def give(self, run: Run) -> bool:
        """Whether the caller gets the run: it is given once, or now and then twice."""
        given = run.progress is Progress.WAITING
        if given and not self.faults.goes_astray():
            run.progress = Progress.STARTING
        return given

    @property
    def open(self) -> list[Run]:
        """Every run that is not shown as ended."""
        return [run for run in self.runs.values() if run.progress is not Progress.ENDED]

    def made_for(self, batch: UUID) -> Run | None:
        """The run of a batch, if there is one."""
        return self._by_batch.get(batch)


class FakeRunner(Protocol):
    """The part of a process that takes runs and runs them."""

    def may_take(self, lane: Priority) -> bool:
        """Whether a run of that lane can begin here now."""
        ...

    def take(self, run: Run) -> None:
        """Begin a run that was created for this process."""
        ...


class FakePrefectApi:
    """One process's line to the server. Every call raises PrefectAway when the server does not answer."""

    def __init__(self, server: FakePrefect, process: Process, outage: PrefectOutage) -> None:
        self.server = server
        self.process = process
        self._outage = outage

    async def ask(self, what: str) -> FakePrefect:
        await self.process.step(what)
        if not self.server.faults.prefect_answers():
            away = PrefectAway("the simulated Prefect is down")
            self._outage.failed(away)
            raise away
        self._outage.answered()
        return self.server


class GatedRuns:
    """The server as one process's dispatcher and reconciler see it (PrefectRuns of the dispatcher)."""

    def __init__(self, line: FakePrefectApi, taker: FakeRunner, ownership: Ownership) -> None:
        self._line = line
        self._taker = taker
        self._ownership = ownership

    async def start(self, claim: Claim) -> UUID:
        process = self._line.process
        self._ownership.asked(claim.id, process)
        server = await self._line.ask("asks Prefect for a run")
        run = server.create(claim, process if self._taker.may_take(claim.priority) else None)
        await self._line.ask("hears of its run")
        if run.taker is process and run.progress is Progress.STARTING:
            self._taker.take(run)
        return run.id

    async def progress(self, ids: Sequence[UUID]) -> dict[UUID, Progress]:
        if not ids:
            return {}
        server = await self._line.ask("asks Prefect about its runs")
        return {id: server.runs[id].progress for id in ids if id in server.runs}

    async def probe(self) -> None:
        await self._line.ask("asks whether Prefect is back")

    async def runs_of_batches(self, batches: Sequence[UUID]) -> dict[UUID, UUID]:
        if not batches:
            return {}
        server = await self._line.ask("asks Prefect for the runs of batches")
        found = {batch: server.made_for(batch) for batch in batches}
        return {batch: run.id for batch, run in found.items() if run is not None}

    async def crashed(self, id: UUID, message: str) -> None:
        await self._correct(id, Progress.ENDED, message)

    async def cancelled(self, id: UUID, message: str) -> None:
        await self._correct(id, Progress.ENDED, message)

    async def completed(self, id: UUID, message: str, at: datetime, *, direct: bool = False) -> None:
        await self._correct(id, Progress.ENDED, message)

    async def reschedule(self, id: UUID) -> None:
        await self._correct(id, Progress.WAITING, "it starts again")

    async def record_completed(self, type: str, batch: UUID, size: int, message: str, at: datetime) -> UUID:
        await self._line.ask(f"reports a {type} to Prefect: {message}")
        return batch

    async def _correct(self, id: UUID, progress: Progress, message: str) -> None:
        server = await self._line.ask(f"corrects a run in Prefect: {message}")
        if server.runs[id].progress is not Progress.ENDED:
            server.runs[id].progress = progress
