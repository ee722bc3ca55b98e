"""A worker process: dispatches, runs and reclaims batches, and corrects Prefect, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectException

from waypost.channels.channel import Channel
from waypost.config.settings import CancelledRuns, Settings
from waypost.delivery.outage_pace import seconds_apart
from waypost.delivery.runtime import Runtime
from waypost.deployments.dashboard.dashboard import LOOK_SECONDS, Dashboard
from waypost.deployments.dispatcher.dispatcher import Dispatcher
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.pauses import Pauses
from waypost.deployments.dispatcher.prefect_runs import PrefectRuns
from waypost.deployments.outdated_worker import NewerFiles
from waypost.deployments.paused_lanes import Notices
from waypost.deployments.prefect_api import api_url, check, prefect_client, within_the_limit
from waypost.deployments.processes import without_prefect
from waypost.deployments.processes.flush import flush_prefect
from waypost.deployments.processes.housekeeping import chores, every
from waypost.deployments.processes.polling import poll
from waypost.deployments.registry import read_at, registered
from waypost.deployments.render_process.render_process import rendering_in_another_process
from waypost.deployments.resident_worker.prefect_blocks import PrefectBlocks
from waypost.deployments.resident_worker.run_events import RunEvents
from waypost.deployments.resident_worker.worker import SLOTS, ResidentWorker
from waypost.deployments.stopping import COURTESY_SECONDS, FLUSH_SECONDS, give_up_in_time
from waypost.ledger.queue.reaper import Reaper, Reclaimed
from waypost.model.priority import Priority
from waypost.policy.route_steps import steps
from waypost.system.process import freeze_gc
from waypost.tasks.client_retries import client_retries

HEARTBEAT_SECONDS = 15.0
DEPLOYMENTS_SECONDS = 5.0  # how long a pause in Prefect takes to hold its type, and a hold to be shown
STARTS_WITHIN = 300.0  # seconds that infrastructure of other workers (a container, a pod) may take to start

logger = logging.getLogger("waypost.worker")


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
    limit: int | None = None,
) -> None:
    """Dispatch, and take and run the pool's runs, until `stop`. `ready` is called after the first
    successful poll.

    An outage of the Prefect API is waited out, at the start or later; the ledger decides what is sent.
    Raises WrongApi for an API that answers and is not one we can use.
    """
    with within_the_limit():
        await _serve(settings, stop, ready, limit)


async def _serve(
    settings: Settings, stop: asyncio.Event, ready: Callable[[], None], limit: int | None
) -> None:
    async with Runtime.open(settings) as runtime:
        runtime.types = [one.type for one in registered().values()]
        outage = PrefectOutage(stop=stop, api=api_url())
        blocks = PrefectBlocks(runtime.providers, runtime.added_brands, runtime.ledger)
        name = f"resident-{os.uname().nodename}-{os.getpid()}"
        woken = asyncio.Event()
        worker = ResidentWorker(
            settings.work_pool,
            name=name,
            limit=limit,
            on_end=woken.set,
            heartbeat_interval_seconds=int(HEARTBEAT_SECONDS),
        )
        dispatching = _dispatching(runtime, outage, blocks, worker.slots.number, stop, worker)
        # The worker exits first: its runs end while the dispatcher, which watches `stop`, ends its own work.
        async with rendering_in_another_process(runtime, read_at()), dispatching as dispatcher, worker:
            await _connect(worker.client, outage, blocks, stop, worker.sync_with_backend)
            _warn_of_stranded(runtime.providers.channels)
            listening = RunEvents(worker.slots.woken.set)
            companions = [
                asyncio.create_task(_wake_dispatcher(woken, dispatcher)),
                asyncio.create_task(listening.run(stop)),
                asyncio.create_task(_heartbeat(worker, stop)),
            ]
            await poll(worker, outage, lambda: listening.on, settings.poll_seconds, stop, ready)
            for task in companions:
                task.cancel()
            await asyncio.wait(companions, timeout=COURTESY_SECONDS)
        await flush_prefect(COURTESY_SECONDS if outage.is_down else FLUSH_SECONDS)


async def dispatch(
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
    limit: int | None = None,
) -> None:
    """Dispatch until `stop`, for a work pool whose runs other Prefect workers take. `ready` is called when
    Prefect has answered; an outage is waited out. Raises WrongApi, as `serve` does."""
    with within_the_limit():
        await _dispatch(settings, stop, ready, limit)


async def _dispatch(
    settings: Settings, stop: asyncio.Event, ready: Callable[[], None], limit: int | None
) -> None:
    async with Runtime.open(settings) as runtime:
        runtime.types = [one.type for one in registered().values()]
        outage = PrefectOutage(stop=stop, api=api_url())
        blocks = PrefectBlocks(runtime.providers, runtime.added_brands, runtime.ledger)
        async with (
            _dispatching(runtime, outage, blocks, limit or SLOTS, stop),
            prefect_client() as client,
        ):
            await _connect(client, outage, blocks, stop)
            if not stop.is_set():
                ready()
            await stop.wait()
        await flush_prefect(COURTESY_SECONDS if outage.is_down else FLUSH_SECONDS)


class OtherWorkers:
    """Stands in for a worker in a process that runs no flow runs."""

    def lanes(self) -> Mapping[UUID, Priority]:
        return {}


@asynccontextmanager
async def _dispatching(
    runtime: Runtime,
    outage: PrefectOutage,
    blocks: PrefectBlocks,
    slots: int,
    stop: asyncio.Event,
    worker: ResidentWorker | None = None,
) -> AsyncGenerator[Dispatcher]:
    """Run the dispatcher and the periodic tasks of every worker, until `stop` or the end of the block.
    worker: takes runs in this process, if it does."""
    ledger = runtime.ledger
    notices = worker.notices if worker else Notices()
    pauses = Pauses(ledger)
    types = {name: one.type for name, one in registered().items()}
    freeze_gc()
    giving_up = asyncio.create_task(give_up_in_time(ledger, stop))
    async with prefect_client() as client:
        runs = PrefectRuns(client, runtime.settings.work_pool, outage, worker)
        dispatcher = Dispatcher(
            ledger=ledger,
            types=types,
            runs=runs,
            worker=worker.slots if worker else OtherWorkers(),
            leases=runtime.leases,
            outage=outage,
            deliver=without_prefect.deliver,
            is_stopped=notices.is_stopped,
            slots=slots,
            starts_within=runtime.settings.lease_seconds if worker else STARTS_WITHIN,
            seconds_apart=partial(seconds_apart, runtime.providers),
            holds_cancelled=runtime.settings.cancelled_runs is CancelledRuns.HOLD,
        )
        periodic = [
            *chores(ledger, Reaper(ledger, types), runs, runtime.settings.retention_days, _tell_reclaimed),
            (DEPLOYMENTS_SECONDS, lambda: runs.look_at_deployments(pauses)),
            (HEARTBEAT_SECONDS, lambda: runs.look_at_blocks(blocks)),
            (DEPLOYMENTS_SECONDS, NewerFiles(runtime.settings.project, read_at()).look),
        ]
        if worker is None:  # a resident worker reads the lanes with its heartbeat
            periodic.append((HEARTBEAT_SECONDS, lambda: runs.look_at_lanes(notices)))
        dashboard = Dashboard(
            ledger=ledger,
            providers=runtime.providers,
            template_faults=runtime.templates.faults,
            types=types,
            client=client,
            work_pool=runtime.settings.work_pool,
            ask=runs.ask,
        )
        if runtime.settings.prefect_reports:
            periodic.append((LOOK_SECONDS, dashboard.look))
        tasks = [
            asyncio.create_task(dispatcher.run(stop)),
            *(asyncio.create_task(every(seconds, work, stop)) for seconds, work in periodic),
        ]
        try:
            yield dispatcher
        finally:
            stop.set()  # also when something unforeseen ends the worker: nothing may go on without it
            await asyncio.gather(giving_up, *tasks)
            await dashboard.close()


async def _wake_dispatcher(woken: asyncio.Event, dispatcher: Dispatcher) -> None:
    while True:
        await woken.wait()
        woken.clear()
        dispatcher.wake()


def _tell_reclaimed(found: Reclaimed) -> None:
    logger.warning(
        "batch %s of %s lost its run: %d notifications go out again, %d are in doubt",
        found.batch,
        found.type,
        found.free,
        found.in_doubt,
    )


def _warn_of_stranded(channels: Sequence[Channel]) -> None:
    for name, one in registered().items():
        if not steps(one.type.route, channels):
            kinds = " or ".join(one.type.route)
            logger.warning(
                "no provider for %s: %s waits in the ledger until WAYPOST_SMTP_URL or "
                "WAYPOST_FALLBACK_URL names one",
                kinds,
                name,
            )


async def _connect(
    client: PrefectClient,
    outage: PrefectOutage,
    blocks: PrefectBlocks,
    stop: asyncio.Event,
    join: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Wait until Prefect answers or `stop`; when it answers, load the providers and brands kept as blocks,
    and `join` the pool's workers. Raises WrongApi."""

    async def ask() -> None:
        with client_retries(0):
            await check(client)
            await blocks.look(client)
            if join is not None:
                await join()

    await outage.until_answered(ask, stop)  # an API that answers nonsense counts as not answering


async def _heartbeat(worker: ResidentWorker, stop: asyncio.Event) -> None:
    async def beat() -> None:
        try:
            await worker.sync_with_backend()
        except (httpx.HTTPError, PrefectException) as error:
            logger.warning("heartbeat to Prefect failed (%s); retrying", type(error).__name__)

    await every(HEARTBEAT_SECONDS, beat, stop)
