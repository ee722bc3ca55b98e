"""The loop by which a worker asks Prefect for runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from waypost.deployments.dispatcher.outage import AWAY_SECONDS, PrefectOutage
from waypost.deployments.resident_worker.run_slots import RunSlots
from waypost.system.waiting import wait_for, wait_for_first

POLLING_SHARE = 5.0  # the least pause after a poll that began no run, as a multiple of the poll's duration
BEGINNING_SHARE = 1.0  # the same after a poll that began runs: more may wait for the slots that they free
LISTENING_SECONDS = 2.0  # how often Prefect is polled while its event stream tells of new runs
MOST_REST_SECONDS = 1.0


class Polling(Protocol):
    """A worker that asks for runs."""

    slots: RunSlots[Any]

    async def get_and_submit_flow_runs(self) -> Sequence[Any]:
        """Begin the scheduled runs that there is room for, and return them. Asks nothing while all slots are
        taken."""
        ...


async def poll(
    worker: Polling,
    outage: PrefectOutage,
    listens: Callable[[], bool],
    seconds: float,
    stop: asyncio.Event,
    ready: Callable[[], None],
    steady: Callable[[], float] = time.monotonic,
) -> None:
    """Ask every `seconds`, or when its slots are woken, until `stop`. `ready` is called after the first
    response. listens: whether Prefect's event stream tells of new runs."""
    told = False
    while not stop.is_set():
        worker.slots.woken.clear()
        began = steady()
        asks = not worker.slots.full
        try:
            async with outage.until_stopped():
                begun = await worker.get_and_submit_flow_runs()
            # Whatever wakes the worker, it must not poll a busy server so often that polling keeps it busy.
            share = BEGINNING_SHARE if begun else POLLING_SHARE
            rest = min(share * (steady() - began), MOST_REST_SECONDS)
            wait = max(seconds, LISTENING_SECONDS) if listens() else seconds
            if asks:
                outage.answered()
            if not told:
                ready()
                told = True
        except Exception as error:  # an API that answers nonsense counts as not answering
            outage.failed(error, steady() - began)
            rest = wait = AWAY_SECONDS
        await wait_for(stop, rest)
        await wait_for_first(stop, worker.slots.woken, wait - rest)
