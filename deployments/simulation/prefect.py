"""A Prefect by script: keeps runs, goes away and comes back, and lets runs crash, stray and double."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from deployments.outage import Outage
from deployments.runs import PrefectAway, Progress
from deployments.simulation.process import Process
from deployments.simulation.weather import Weather
from waypost.ids import new_id
from waypost.ledger.claims import Claim
from waypost.priority import Priority


@dataclass(slots=True)
class Run:
    """A run as the server knows it."""

    id: UUID
    claim: Claim
    scheduled: bool = True
    ended: bool = False

    @property
    def progress(self) -> Progress:
        if self.ended:
            return Progress.ENDED
        return Progress.WAITING if self.scheduled else Progress.RUNNING


class Server:
    """What all processes share."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.runs: dict[UUID, Run] = {}
        self._by_batch: dict[UUID, Run] = {}

    def create(self, claim: Claim) -> Run:
        """The run of a batch; asked again, the same."""
        if claim.id not in self._by_batch:
            run = self._by_batch[claim.id] = Run(new_id(), claim)
            self.runs[run.id] = run
            if self.weather.happens(self.weather.runs_astray / 2):
                run.scheduled, run.ended = False, True  # somebody cancelled it, or marked it crashed
        return self._by_batch[claim.id]

    def hand_out(self) -> list[Run]:
        """What is scheduled, the most urgent first; it is handed out once, or now and then twice."""
        found = sorted(
            (run for run in self.runs.values() if run.scheduled), key=lambda run: run.claim.priority.rank
        )
        for run in found:
            run.scheduled = self.weather.happens(self.weather.runs_astray / 2)
        return found


class GatedRuns:
    """The server as one process's dispatcher sees it (deployments.runs.Runs)."""

    def __init__(self, server: Server, process: Process, outage: Outage, worker: ScriptedWorker) -> None:
        self._worker = worker
        self._server = server
        self._process = process
        self._outage = outage

    async def start(self, claim: Claim) -> UUID:
        await self._ask("asks Prefect for a run")
        run = self._server.create(claim)
        self._worker.woken = True
        await self._ask("hears of its run")
        return run.id

    async def progress(self, ids: Sequence[UUID]) -> dict[UUID, Progress]:
        await self._ask("asks Prefect about its runs")
        return {id: self._server.runs[id].progress for id in ids if id in self._server.runs}

    async def probe(self) -> None:
        await self._ask("asks whether Prefect is back")

    async def _ask(self, what: str) -> None:
        await self._process.step(what)
        if not self._server.weather.prefect_answers():
            self._outage.failed()
            raise PrefectAway("the simulated Prefect is down")
        self._outage.answered()


class ScriptedWorker:
    """What of a process takes runs and runs them (deployments.dispatcher.Worker)."""

    def __init__(self) -> None:
        self.in_hand: dict[UUID, Priority] = {}
        self.woken = False

    def lanes(self) -> dict[UUID, Priority]:
        return self.in_hand
