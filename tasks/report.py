"""Report: an account of the run, and a table of it in the Prefect UI."""

from __future__ import annotations

import logging

import httpx
from prefect import task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import PrefectException

from tasks.run_context import current_flow_run, run_logger, step, without_prefect_active
from waypost import Batch, Report
from waypost.delivery.runtime import Runtime
from waypost.ledger.operations.stats import shown
from waypost.ledger.queue import batches
from waypost.ledger.queue.batches import BatchResult
from waypost.mail.masking import mask_in
from waypost.model.notification import Delivery
from waypost.model.states import State
from waypost.system.isolation import ItemFailed, isolated

ROWS_SHOWN = 500


async def report(outcomes: Batch[Delivery]) -> Report:
    """Count the outcomes of all notifications, and end the batch. The task's name holds the counts, so
    that the run's graph shows them. The artifact lists each notification with its address masked."""
    states = [delivery.state for delivery in outcomes]
    made = Report.of(outcomes.type.name, outcomes.id, states, again=sum(map(_again, outcomes)))
    return await step(_report, outcomes, made, task_run_name=f"report: {made}")


@task(name="report", cache_policy=NO_CACHE)
async def _report(outcomes: Batch[Delivery], made: Report) -> Report:
    runtime = await Runtime.current()
    ending = BatchResult.DIRECT if without_prefect_active() else BatchResult.DONE
    await batches.end(runtime.ledger, outcomes.id, ending, str(made), current_flow_run())
    runtime.leases.let_go_of_run(outcomes.id)
    lost = made.states.keys() & {State.FAILED, State.EXPIRED}
    level = logging.WARNING if lost or made.again else logging.INFO
    run_logger().log(level, "%s: %s", outcomes.type.name, made)
    if len(outcomes) and not without_prefect_active():
        await _show(outcomes, made)
    return made


async def _show(outcomes: Batch[Delivery], made: Report) -> None:
    """Show the outcomes in Prefect. A table that Prefect does not take fails nothing: the ledger has all."""
    try:
        with isolated("showing the outcomes", httpx.HTTPError, PrefectException, item=outcomes):
            await acreate_table_artifact(
                key=outcomes.type.name,
                table=[_row(delivery) for delivery in _worst_first(outcomes)[:ROWS_SHOWN]],
                description=_summary(made),
            )
    except (httpx.HTTPError, PrefectException) as error:
        run_logger().warning("no table of outcomes: Prefect did not take it (%s)", type(error).__name__)
    except ItemFailed as failed:
        run_logger().warning("no table of outcomes: %s", failed)


def _again(delivery: Delivery) -> bool:
    """Whether the notification was sent, and an earlier attempt in doubt may have delivered it before."""
    return delivery.state is State.SENT and delivery.notification.in_doubt > 0


def _worst_first(outcomes: Batch[Delivery]) -> list[Delivery]:
    """Sent deliveries last: the others may need a person's attention."""
    return sorted(outcomes, key=lambda delivery: delivery.state == "sent")


def _row(delivery: Delivery) -> dict[str, str]:
    notification = delivery.notification
    try:
        with isolated("showing an outcome", item=notification.id):
            person = notification.recipient
            recipient = _as_is(shown(person.key, person.email, person.phone))
            detail = _as_is(mask_in(delivery.reason or (str(delivery.outcome) if delivery.outcome else "")))
    except ItemFailed as failed:
        recipient, detail = "", str(failed)
    return {
        "state": str(delivery.state),
        "recipient": recipient,
        "provider": delivery.provider,
        "detail": detail,
        "notification": str(notification.id),
    }


def _as_is(text: str) -> str:
    """`text` as code, so that the UI, which renders cells as markdown, shows it letter for letter: a
    provider's words are not trusted."""
    return f"`{text.replace('`', chr(39))}`" if text else ""


def _summary(made: Report) -> str:
    lines = [f"**{made.type}**: {made}", "", "| state | notifications |", "| --- | ---: |"]
    lines += [f"| {state} | {count} |" for state, count in sorted(made.states.items())]
    if made.again:
        lines += [
            "",
            f"{made.again} of those sent may have come twice: `waypost list --in-doubt` names them.",
        ]
    if made.total > ROWS_SHOWN:
        lines += [
            "",
            f"The first {ROWS_SHOWN} of {made.total} are listed; the ledger has them all.",
        ]
    return "\n".join(lines)
