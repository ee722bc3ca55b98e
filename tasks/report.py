"""Report: an account of the run, and a table of it in the Prefect UI."""

from __future__ import annotations

from itertools import islice

from prefect import State, task
from prefect.cache_policies import NO_CACHE

from waypost import Batch, Report
from waypost.delivery.runtime import Runtime
from waypost.ledger import Ledger
from waypost.ledger.operations.run_history import TryBefore, tries_before
from waypost.ledger.operations.short_ids import short
from waypost.ledger.queue import batches
from waypost.ledger.queue.batches import BatchResult
from waypost.mail.masking import mask_in
from waypost.model.notification import Delivery
from waypost.model.states import State as Where
from waypost.policy.repeated_answers import essence
from waypost.tasks import events
from waypost.tasks.run_context import current_flow_run, run_logger, step, without_prefect_active
from waypost.tasks.run_name import named
from waypost.tasks.run_state import LOST, message_of, run_state
from waypost.tasks.run_table import ORDER, rows_of, show, without_verdict
from waypost.tasks.run_table_cells import run_url

REASONS_SHOWN, LONGEST_REASON = 3, 200
TROUBLE = frozenset({*LOST, Where.HELD, Where.DEFERRED})


async def report(outcomes: Batch[Delivery]) -> State[Report]:
    """Count the outcomes of all notifications, and end the batch. The task's name holds the counts, so
    that the run's graph shows them. The artifact lists each notification with its address masked. Returns the
    state in which the run ends; its data is the report."""
    made = _report_of(outcomes)
    made = await step(_report, outcomes, made, task_run_name=f"report: {made}")
    await named()
    return run_state(made)


def _report_of(outcomes: Batch[Delivery]) -> Report:
    found = outcomes.taken_up
    due = [one.due for one in (*found.ended, *outcomes) if one.state is Where.DEFERRED and one.due]
    return Report.of(
        outcomes.type.name,
        outcomes.id,
        [*(one.state for one in found.ended), *(delivery.state for delivery in outcomes)],
        again=sum(map(_again, outcomes)),
        next_try=min(due, default=None),
        reasons=_first_reasons(outcomes),
        refused=found.refused,
        note=mask_in(found.note),
        left=dict(found.left),
        wrong=found.wrong,
        trouble=mask_in(found.trouble),
        held=found.held,
        only_failed=found.only_failed,
    )


def _first_reasons(outcomes: Batch[Delivery]) -> list[str]:
    """The first three different reasons, the worst first, without addresses. The ledger keeps each whole."""
    told = [(one.state, one.reason) for one in (*outcomes.taken_up.ended, *outcomes) if one.state in TROUBLE]
    told.sort(key=lambda one: ORDER.index(one[0]))
    reasons = dict.fromkeys(without_verdict(reason) for _, reason in told if reason)
    return [mask_in(reason)[:LONGEST_REASON] for reason in islice(reasons, REASONS_SHOWN)]


@task(name="report", cache_policy=NO_CACHE)
async def _report(outcomes: Batch[Delivery], made: Report) -> Report:
    runtime = await Runtime.current()
    ending = BatchResult.DIRECT if without_prefect_active() else BatchResult.DONE
    await batches.end(runtime.ledger, outcomes.id, ending, str(made), current_flow_run())
    runtime.leases.let_go_of_run(outcomes.id)
    if not without_prefect_active():
        made = await _followed(runtime.ledger, outcomes, made)
    _tell(outcomes, made)
    if made.total and not without_prefect_active() and runtime.settings.prefect_reports:
        events.batch_ended(outcomes, made)
        if not made.repeats:
            await show(made, rows_of(outcomes))
    return made


async def _followed(ledger: Ledger, outcomes: Batch[Delivery], made: Report) -> Report:
    """`made`, with the runs that deferred the notifications before, and whether this run repeats them."""
    tries = {one.notification.id: one.notification.tries for one in outcomes if one.notification.tries}
    before = await tries_before(ledger, tries)
    runs = {found.run for found in before.values() if found.run} - {current_flow_run()}
    repeated = not outcomes.taken_up.ended and all(
        _repeats(one, before.get(one.notification.id)) for one in outcomes
    )
    return made.model_copy(
        update={"before": sorted(runs, reverse=True), "repeats": bool(before) and repeated}
    )


def _repeats(delivery: Delivery, before: TryBefore | None) -> bool:
    """Whether a notification was deferred again, with the same answer apart from numbers such as a wait, or
    again without an attempt."""
    if before is None or delivery.state is not Where.DEFERRED:
        return False
    if delivery.outcome is None or before.answer is None:
        return delivery.outcome is None and before.answer is None
    return essence(f"{delivery.provider}: {delivery.outcome.said}") == essence(before.answer)


def _tell(outcomes: Batch[Delivery], made: Report) -> None:
    """Log what became of the run, and what to do. A run that sent all has said so before."""
    worst = min(
        (one for one in outcomes if one.state in TROUBLE),
        key=lambda one: ORDER.index(one.state),
        default=None,
    )
    if not (worst or made.states.keys() & TROUBLE or made.again):
        run_logger().info("%s", made)
        return
    run_logger().warning("%s", message_of(made))
    told: list[str] = []
    if worst:
        told.append(f"`waypost explain {short(worst.notification.id)}` shows the history of the first")
        told.append("once the cause is corrected, Retry of this run sends what failed")
    if made.again:
        told.append("`waypost list --in-doubt` lists what may have arrived twice")
    if made.before:
        told.append(f"the run before: {run_url(made.before[0])}")
    if told:
        run_logger().warning("%s", "; ".join(told))


def _again(delivery: Delivery) -> bool:
    """Whether the notification was sent, and an earlier attempt in doubt may have delivered it before."""
    return delivery.state is Where.SENT and delivery.notification.in_doubt > 0
