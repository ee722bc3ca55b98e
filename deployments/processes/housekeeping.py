"""The periodic tasks of every worker: take back lost batches, correct Prefect, end and delete what is old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from waypost.deployments.dispatcher import reconciler
from waypost.deployments.dispatcher.backoff import BatchBackoffs
from waypost.deployments.dispatcher.outage import AWAY_SECONDS
from waypost.deployments.dispatcher.runs import CorrectedRuns, PrefectAway
from waypost.ledger import Ledger
from waypost.ledger.database.failures import log_failure
from waypost.ledger.operations import retention
from waypost.ledger.queue import digest_items, digests
from waypost.ledger.queue.reaper import Reaper, Reclaimed
from waypost.ledger.records import resealing, soft_bounces, suppressions
from waypost.system.waiting import wait_for

logger = logging.getLogger("waypost.worker")
Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between two runs of each task. reap: None for an eighth of a lease, three seconds at most."""

    reap: float | None = None
    reconcile: float = 5.0
    expire: float = 60.0
    prune: float = 3600.0
    seal: float = 600.0


def chores(
    ledger: Ledger,
    reaper: Reaper,
    runs: CorrectedRuns,
    retention_days: float | None,
    on_reclaimed: Callable[[Reclaimed], None],
    intervals: Intervals = Intervals(),
) -> Iterator[tuple[float, Work]]:
    """The tasks, each with the seconds between two runs. on_reclaimed: called for each batch taken back."""

    async def reap() -> None:
        for found in await reaper.look():
            on_reclaimed(found)

    yield intervals.reap or min(3.0, ledger.lease.total_seconds() / 8), reap
    backoffs, process = BatchBackoffs(), str(uuid4())
    yield intervals.reconcile, lambda: reconciler.reconcile(ledger, runs, backoffs)
    yield intervals.expire, lambda: digests.expire(ledger)
    yield intervals.expire, lambda: digest_items.finish_items(ledger)
    yield intervals.prune, lambda: suppressions.delete_expired(ledger)
    yield intervals.seal, lambda: resealing.reseal(ledger, process)
    yield intervals.prune, lambda: soft_bounces.delete_old(ledger)
    if retention_days is not None:
        yield intervals.prune, lambda: retention.prune(ledger, retention_days)


async def every(seconds: float, work: Work, stop: asyncio.Event) -> None:
    """Do `work` every `seconds` until `stop`. Errors are logged and the work is retried."""
    while not stop.is_set():
        pause = seconds
        try:
            await work()
        except PrefectAway:
            pause = min(seconds, AWAY_SECONDS)  # PrefectOutage has logged it
        except Exception as error:  # asyncpg's connect errors have no common class
            log_failure(logger, "housekeeping failed; retrying", error)
        await wait_for(stop, pause)
