"""A worker process: a resident worker and what it keeps open, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

import httpx
from prefect.exceptions import PrefectException

from deployments.due import watch
from deployments.farewell import flush_prefect
from deployments.registry import registered
from deployments.worker import ResidentWorker
from waypost.routes import steps
from waypost.runtime import Runtime
from waypost.settings import Settings

HEARTBEAT_SECONDS = 15.0

logger = logging.getLogger("waypost.worker")


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
    limit: int | None = None,
) -> None:
    """Take and run the pool's runs until `stop`. `ready` is called when the first poll worked.

    The Prefect API going away is waited out; the ledger decides what is sent.
    """
    async with Runtime.open(settings) as runtime:
        _warn_of_stranded(runtime)
        name = f"resident-{os.uname().nodename}-{os.getpid()}"
        worker = ResidentWorker(settings.work_pool, name=name, limit=limit)
        async with worker:
            watching = asyncio.create_task(watch(runtime.ledger, stop))
            beating = asyncio.create_task(_beat(worker, stop))
            await _poll(worker, settings.poll_seconds, stop, ready)
            await asyncio.gather(watching, beating)
        await flush_prefect()


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


async def _poll(
    worker: ResidentWorker, seconds: float, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    wait = seconds
    told = False
    while not stop.is_set():
        try:
            await worker.get_and_submit_flow_runs()
            wait = seconds
            if not told:
                ready()
                told = True
        except (httpx.HTTPError, PrefectException) as error:
            logger.warning("the Prefect API does not answer (%s); asking again", type(error).__name__)
            wait = min(wait * 2, 5.0)
        await _sleep(wait, stop)


async def _beat(worker: ResidentWorker, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await _sleep(HEARTBEAT_SECONDS, stop)
        try:
            await worker.sync_with_backend()
        except (httpx.HTTPError, PrefectException) as error:
            logger.warning("no heartbeat: %s", type(error).__name__)


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
