"""A simulated worker: the real dispatcher, reaper, leases and steps over scripted surroundings."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from deployments.dispatcher import Dispatcher
from deployments.outage import Outage
from deployments.simulation.prefect import GatedRuns, Run, ScriptedWorker, Server
from deployments.simulation.process import Process
from deployments.simulation.provider import Delivered, ScriptedProvider
from deployments.simulation.store import Database, GatedLedger
from deployments.simulation.types import TYPES, take_steps
from deployments.simulation.weather import Weather
from tasks.runs import without_prefect
from waypost.ledger import NotRecorded
from waypost.ledger.claims import Claim
from waypost.ledger.reaper import Reaper
from waypost.notification import Message
from waypost.runtime import Runtime
from waypost.settings import Settings
from waypost.templating import Templates

LEASE = timedelta(seconds=6)
SLOTS = 4
POLL_SECONDS = 1.0
REAP_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every process of a simulation shares."""

    weather: Weather
    database: Database
    server: Server
    mailboxes: Mapping[str, list[Delivered]]
    settings: Settings
    templates: Templates
    true_time: TrueTime


class TrueTime:
    """The time without any process's error, by which lateness is judged."""

    def __init__(self, began: datetime) -> None:
        self.began = began

    def __call__(self) -> datetime:
        return self.began + timedelta(seconds=asyncio.get_running_loop().time())

    def late(self, message: Message) -> float:
        """Seconds after its deadline; 0 when it is in time."""
        return max(0.0, (self() - message.notification.expires_at).total_seconds())


def prepare(home: Path) -> tuple[Settings, Templates]:
    """Settings and templates, read and compiled once for many simulations."""
    folder = home / "templates"
    for name in TYPES:
        (folder / name / "en").mkdir(parents=True, exist_ok=True)
        for part in ("subject.txt", "body.txt", "short.txt"):
            (folder / name / "en" / part).write_text("{{ text }}")
        (folder / name / "en" / "body.mjml").write_text("<mjml><mj-body></mj-body></mjml>")
    return Settings(home=home), Templates(folder)


async def work(process: Process, around: Surroundings) -> None:
    """Be a worker until killed."""
    ledger = GatedLedger(around.database, process, around.weather, LEASE)
    providers = [
        ScriptedProvider(name, process, around.weather, mailbox, around.true_time.late)
        for name, mailbox in around.mailboxes.items()
    ]
    runtime = Runtime(around.settings, ledger, list(providers), around.templates)
    runtime.adopt()
    outage = Outage(asyncio.get_running_loop().time)
    worker = ScriptedWorker()
    dispatcher = Dispatcher(
        ledger=ledger,
        types=TYPES,
        runs=GatedRuns(around.server, process, outage, worker),
        worker=worker,
        leases=runtime.leases,
        outage=outage,
        deliver=_deliver,
        slots=SLOTS,
        starts_within=LEASE.total_seconds(),
        steady=asyncio.get_running_loop().time,
    )
    reaper = Reaper(ledger, TYPES, asyncio.get_running_loop().time)
    process.spawn(dispatcher.run(asyncio.Event()))
    process.spawn(_reap(reaper))
    while True:
        await process.step("looks for runs")
        if around.weather.prefect_answers():
            for run in around.server.hand_out():
                worker.in_hand[run.id] = run.claim.priority
                process.spawn(_run(run, runtime, worker, dispatcher))
        await asyncio.sleep(0.05 if worker.woken else POLL_SECONDS)
        worker.woken = False


async def _deliver(claim: Claim) -> None:
    with without_prefect():
        await take_steps(TYPES[claim.type], claim.id)


async def _run(run: Run, runtime: Runtime, worker: ScriptedWorker, dispatcher: Dispatcher) -> None:
    """One of Prefect's runs, as the resident worker runs it."""
    # A run that fails is over like any other: the ledger decides.
    with suppress(OSError, NotRecorded), runtime.leases.over_a_run():
        await _deliver(run.claim)
    run.ended = True
    worker.in_hand.pop(run.id, None)
    dispatcher.wake()


async def _reap(reaper: Reaper) -> None:
    while True:
        with suppress(OSError):
            await reaper.look()
        await asyncio.sleep(REAP_SECONDS)


def skewed(process: Process | None, true_time: TrueTime) -> datetime:
    """What a process's wall clock says."""
    return true_time() + timedelta(seconds=process.skew if process else 0.0)
