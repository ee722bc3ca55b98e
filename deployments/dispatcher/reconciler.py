"""Corrects in Prefect the state of runs whose worker died, or whose batch was sent without Prefect."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from waypost.deployments.dispatcher.backoff import BatchBackoffs
from waypost.deployments.dispatcher.runs import CorrectedRuns, PrefectAway, Progress, Refused, RequestFailed
from waypost.deployments.stopping import STOPPED
from waypost.ledger import Ledger
from waypost.ledger.queue import batches
from waypost.ledger.queue.batches import BatchResult, UnreportedBatch
from waypost.system.clock import now

logger = logging.getLogger("waypost.prefect")
GRACE = timedelta(seconds=5)  # a run reports its own end, a moment after its batch has ended
GIVEN_UP_AFTER = timedelta(days=1)  # then a run that Prefect fails to correct stays as it is
AT_ONCE = 50
NOT_REPORTED = "its worker could not report this: it ended first, or Prefect did not take the report"

Known = tuple[UnreportedBatch, Progress | None]  # with its run; None if Prefect does not know that


async def reconcile(ledger: Ledger, runs: CorrectedRuns, backoffs: BatchBackoffs | None = None) -> int:
    """Correct in Prefect the runs of batches that have ended; returns how many batches were examined.
    Raises PrefectAway; a later call then examines the batches again. backoffs: kept from call to call, so
    that batches at which Prefect fails are tried again after growing waits."""
    backoffs = backoffs or BatchBackoffs()
    found = await batches.unreported(ledger, now() - GRACE, AT_ONCE, backoffs.waiting())
    known = await _read_all(runs, found, backoffs)
    ids = [one.flow_run_id for one, _ in known if one.flow_run_id]
    in_hand = await batches.runs_in_hand(ledger, ids)
    last = {
        one.flow_run_id: one for one, _ in known
    }  # of a run that was started again, its last batch counts
    for one, shown in known:
        waits = shown is not None and not shown.is_over
        shown_wrongly = waits and one.flow_run_id not in in_hand and last[one.flow_run_id] is one
        if one.ending is BatchResult.DIRECT or shown_wrongly:
            await _try_to_correct(runs, one if shown else replace(one, flow_run_id=None), backoffs)
        else:
            backoffs.over(one.id)
    await batches.mark_reported(ledger, [one.id for one in found if one.id not in backoffs])
    return len(found)


async def _read_all(
    runs: CorrectedRuns, found: Sequence[UnreportedBatch], backoffs: BatchBackoffs
) -> list[Known]:
    """What Prefect knows of the runs of these batches. If it cannot give them together, each is asked for
    alone, and those that it cannot give are tried again later."""
    try:
        return await _read(runs, found)
    except Refused:
        pass
    known: list[Known] = []
    failed: list[str] = []
    for one in found:
        try:
            known += await _read(runs, [one])
        except Refused as error:
            if _failed_again(one, backoffs):
                failed.append(f"batch {one.id}, run {one.flow_run_id}: {error}")
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        logger.warning("Prefect fails to give the run of %s%s; it is asked again later", failed[0], more)
    return known


async def _read(runs: CorrectedRuns, found: Sequence[UnreportedBatch]) -> list[Known]:
    """The batches with the runs that were created for them, which the ledger may not have recorded, and how
    far these have come."""
    made = await runs.runs_of_batches([one.id for one in found if one.flow_run_id is None])
    with_runs = [replace(one, flow_run_id=made.get(one.id, one.flow_run_id)) for one in found]
    shown = await runs.progress([one.flow_run_id for one in with_runs if one.flow_run_id])
    return [(one, shown.get(one.flow_run_id) if one.flow_run_id else None) for one in with_runs]


def _failed_again(one: UnreportedBatch, backoffs: BatchBackoffs) -> bool:
    """Try the batch again later, for GIVEN_UP_AFTER. Returns whether this is its first failure."""
    if one.ended_at < now() - GIVEN_UP_AFTER:
        backoffs.over(one.id)
        return False
    return backoffs.add(one.id)


async def _try_to_correct(runs: CorrectedRuns, one: UnreportedBatch, backoffs: BatchBackoffs) -> None:
    """Try each batch once: a run that was deleted, or whose type is gone, must not block the others. A batch
    at which Prefect fails is tried again later."""
    try:
        await _correct(runs, one)
    except PrefectAway:
        raise
    except RequestFailed as error:
        if _failed_again(one, backoffs):
            logger.warning("Prefect fails to show the end of run %s: %s", one.flow_run_id, error)
        return
    except Exception as error:
        logger.warning(
            "the end of batch %s of %s could not be reported to Prefect: %s", one.id, one.type, error
        )
    backoffs.over(one.id)


async def _correct(runs: CorrectedRuns, one: UnreportedBatch) -> None:
    run = one.flow_run_id
    match one.ending:
        case BatchResult.DIRECT:
            message = f"Sent without Prefect, which did not respond: {one.summary}"
            if run is None:
                await runs.record_completed(one.type, one.id, one.size, message, one.ended_at)
            else:
                await runs.completed(run, message, one.ended_at, direct=True)
        case BatchResult.LOST | BatchResult.RETURNED if run and not one.size and not one.started:
            await runs.reschedule(run)
        case BatchResult.CANCELLED if run:
            await runs.cancelled(run, "Cancelled. What was not sent is held: `waypost list --state held`.")
        case BatchResult.RETURNED if run:
            await runs.crashed(run, STOPPED)
        case BatchResult.LOST if run:
            await runs.crashed(run, "The worker was lost. Unsent notifications go out with another run.")
        case BatchResult.FAILED if run:
            await runs.crashed(run, f"The run failed ({one.summary}); {NOT_REPORTED}")
        case BatchResult.DONE if run:
            await runs.completed(run, f"{one.summary}; {NOT_REPORTED}", one.ended_at)
        case _:
            pass
