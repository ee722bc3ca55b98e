"""A worker process: dispatches, runs and reclaims batches, and corrects Prefect, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from deployments.dispatcher import reconciler
from deployments.dispatcher.dispatcher import Dispatcher, Worker
from deployments.dispatcher.outage import PrefectOutage
from deployments.dispatcher.prefect_runs import PrefectRuns
from deployments.dispatcher.runs import LocalRunner, PrefectAway
from deployments.paused_lanes import Notices
from deployments.prefect_api import WrongApi, api_url, check, prefect_client, within_the_limit
from deployments.processes import without_prefect
from deployments.processes.flush import flush_prefect
from deployments.registry import registered
from deployments.resident_worker.provider_blocks import ProviderBlocks
from deployments.resident_worker.run_events import RunEvents
from deployments.resident_worker.worker import SLOTS, ResidentWorker
from deployments.stopping import COURTESY_SECONDS, FLUSH_SECONDS, give_up_in_time
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.ledger.database.failures import log_failure
from waypost.ledger.operations import retention
from waypost.ledger.queue import digests
from waypost.ledger.queue.reaper import Reaper
from waypost.model.priority import Priority
from waypost.policy.routing import steps
from waypost.system.process import freeze_gc
from waypost.system.waiting import wait_for, wait_for_first

HEARTBEAT_SECONDS = 15.0
TELL_SECONDS = 5.0
STARTS_WITHIN = 300.0  # seconds that infrastructure of other workers (a container, a pod) may take to start
RETENTION_SECONDS = 3600.0
EXPIRY_SECONDS = 60.0  # how often items that wait for a digest past their deadline are ended
POLLING_SHARE = 5.0  # the least pause after a poll, as a multiple of the poll's duration
LISTENING_SECONDS = 2.0  # how often Prefect is polled while its event stream tells of new runs
MOST_REST_SECONDS = 1.0
AWAY_SECONDS = 1.0  # how often a Prefect API that does not answer is polled

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
        outage = PrefectOutage(stop=stop, api=api_url())
        blocks = ProviderBlocks(runtime)
        name = f"resident-{os.uname().nodename}-{os.getpid()}"
        woken = asyncio.Event()
        worker = ResidentWorker(
            settings.work_pool,
            name=name,
            limit=limit,
            on_end=woken.set,
            heartbeat_interval_seconds=int(HEARTBEAT_SECONDS),
        )
        dispatching = _dispatching(
            runtime,
            outage,
            blocks,
            worker.notices,
            worker,
            worker.slots,
            settings.lease_seconds,
            stop,
            worker,
        )
        # The worker exits first: its runs end while the dispatcher, which watches `stop`, ends its own work.
        async with dispatching as dispatcher, worker:
            await _connect(worker.client, outage, blocks, stop, worker.sync_with_backend)
            _warn_of_stranded(runtime)
            listening = RunEvents(worker.woken.set)
            beside = [
                asyncio.create_task(_wake_dispatcher(woken, dispatcher)),
                asyncio.create_task(listening.run(stop)),
                asyncio.create_task(_heartbeat(worker, stop)),
            ]
            await _poll(worker, outage, listening, settings.poll_seconds, stop, ready)
            for task in beside:
                task.cancel()
            await asyncio.wait(beside, timeout=COURTESY_SECONDS)
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
        outage, blocks = PrefectOutage(stop=stop, api=api_url()), ProviderBlocks(runtime)
        async with (
            _dispatching(
                runtime, outage, blocks, Notices(), OtherWorkers(), limit or SLOTS, STARTS_WITHIN, stop
            ),
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
    blocks: ProviderBlocks,
    notices: Notices,
    worker: Worker,
    slots: int,
    starts_within: float,
    stop: asyncio.Event,
    taker: LocalRunner | None = None,
) -> AsyncGenerator[Dispatcher]:
    """Run the dispatcher and the periodic tasks of every worker, until `stop` or the end of the block."""
    ledger = runtime.ledger
    types = {name: one.type for name, one in registered().items()}
    freeze_gc()
    giving_up = asyncio.create_task(give_up_in_time(ledger, stop))
    async with prefect_client() as client:
        runs = PrefectRuns(client, runtime.settings.work_pool, outage, taker)
        dispatcher = Dispatcher(
            ledger=ledger,
            types=types,
            runs=runs,
            worker=worker,
            leases=runtime.leases,
            outage=outage,
            deliver=without_prefect.deliver,
            is_stopped=notices.is_stopped,
            slots=slots,
            starts_within=starts_within,
        )
        reaper = Reaper(ledger, types)
        look_seconds = min(3.0, ledger.lease.total_seconds() / 8)
        tasks = [
            asyncio.create_task(dispatcher.run(stop)),
            asyncio.create_task(_every(look_seconds, lambda: _reap(reaper), stop)),
            asyncio.create_task(_every(TELL_SECONDS, lambda: reconciler.tell(ledger, runs), stop)),
            asyncio.create_task(_every(HEARTBEAT_SECONDS, runs.ensure_deployed, stop)),
            asyncio.create_task(_every(EXPIRY_SECONDS, lambda: digests.expire(ledger), stop)),
            asyncio.create_task(_every(HEARTBEAT_SECONDS, lambda: runs.look_at_blocks(blocks), stop)),
        ]
        if taker is None:  # a resident worker reads the lanes with its heartbeat
            look_at_lanes = lambda: runs.look_at_lanes(notices)  # noqa: E731
            tasks.append(asyncio.create_task(_every(HEARTBEAT_SECONDS, look_at_lanes, stop)))
        if (days := runtime.settings.retention_days) is not None:
            prune = lambda: retention.prune(ledger, days)  # noqa: E731
            tasks.append(asyncio.create_task(_every(RETENTION_SECONDS, prune, stop)))
        try:
            yield dispatcher
        finally:
            stop.set()  # also when something unforeseen ends the worker: nothing may go on without it
            await asyncio.gather(giving_up, *tasks)


async def _wake_dispatcher(woken: asyncio.Event, dispatcher: Dispatcher) -> None:
    while True:
        await woken.wait()
        woken.clear()
        dispatcher.wake()


async def _reap(reaper: Reaper) -> None:
    for found in await reaper.look():
        logger.warning(
            "batch %s of %s had lost its run: %d go out again, %d are in doubt",
            found.batch,
            found.type,
            found.free,
            found.in_doubt,
        )


def _warn_of_stranded(runtime: Runtime) -> None:
    for name, one in registered().items():
        if not steps(one.type.route, runtime.channels):
            kinds = " or ".join(one.type.route)
            logger.warning(
                "no provider is set for %s: %s waits in the ledger until WAYPOST_SMTP_URL or "
                "WAYPOST_FALLBACK_URL names one",
                kinds,
                name,
            )


async def _connect(
    client: PrefectClient,
    outage: PrefectOutage,
    blocks: ProviderBlocks,
    stop: asyncio.Event,
    join: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Wait until Prefect answers or `stop`; when it answers, load the providers kept as blocks and `join`
    the pool's workers. Raises WrongApi."""
    while not stop.is_set():
        began = time.monotonic()
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                async with outage.until_stopped():
                    await check(client)
                    await blocks.look(client)
                    if join is not None:
                        await join()
        except WrongApi:
            raise
        except Exception as error:  # an API that answers nonsense counts as one that does not answer
            outage.failed(error, time.monotonic() - began)
            await wait_for(stop, AWAY_SECONDS)
        else:
            outage.answered()
            return


async def _poll(
    worker: ResidentWorker,
    outage: PrefectOutage,
    listening: RunEvents,
    seconds: float,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    told = False
    while not stop.is_set():
        worker.woken.clear()
        began = time.monotonic()
        asks = not worker.full
        try:
            async with outage.until_stopped():
                await worker.get_and_submit_flow_runs()
            # Whatever wakes the worker, it must not poll a busy server so often that polling keeps it busy.
            rest = min(POLLING_SHARE * (time.monotonic() - began), MOST_REST_SECONDS)
            wait = max(seconds, LISTENING_SECONDS) if listening.on else seconds
            if asks:
                outage.answered()
            if not told:
                ready()
                told = True
        except Exception as error:  # an API that answers nonsense counts as not answering
            outage.failed(error, time.monotonic() - began)
            rest = wait = AWAY_SECONDS
        await wait_for(stop, rest)
        await wait_for_first(stop, worker.woken, wait - rest)


async def _heartbeat(worker: ResidentWorker, stop: asyncio.Event) -> None:
    async def beat() -> None:
        try:
            await worker.sync_with_backend()
        except (httpx.HTTPError, PrefectException) as error:
            logger.warning(
                "heartbeat to Prefect failed (%s); the next follows in seconds", type(error).__name__
            )

    await _every(HEARTBEAT_SECONDS, beat, stop)


async def _every(seconds: float, work: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Do `work` every `seconds` until `stop`. Errors are logged and the work is retried."""
    while not stop.is_set():
        pause = seconds
        try:
            await work()
        except PrefectAway:
            pause = min(seconds, AWAY_SECONDS)  # PrefectOutage has logged it
        except Exception as error:  # asyncpg's connect errors have no common class
            log_failure(logger, "housekeeping did not work; trying again", error)
        await wait_for(stop, pause)
