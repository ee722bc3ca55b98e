"""The name of a run: `36 order-confirmation · attempt 2 · urgent`."""

from __future__ import annotations

import asyncio

import httpx
from prefect.client.utilities import get_or_create_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from waypost import Batch
from waypost.model.notification import Delivery
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.tasks.run_context import current_flow_run, is_retried, run_logger, without_prefect_active

NAMED_WITHIN = 3.0  # seconds; a run waits no longer for Prefect to take its name


def run_name(type: NotificationType, count: int, attempt: int, lane: Priority) -> str:
    """The count and the type; the attempt if it is a repeat, the lane if it is not the type's own."""
    parts = [f"{count} {type.name}"]
    if attempt > 1:
        parts.append(f"attempt {attempt}")
    if lane is not type.lane:
        parts.append(str(lane))
    return " · ".join(parts)


async def name_run(outcomes: Batch[Delivery]) -> None:
    """Give the run its name if it has another: it was not created for a batch, or more joined the batch. A
    name that Prefect refuses fails nothing."""
    id = None if without_prefect_active() else current_flow_run()
    if id is None:
        return
    known, name = flow_run.name or "", _name_of(outcomes)
    # Without outcomes, a run that was named by its count began with more, which another run has; a retried
    # run had them before.
    if known == name or (not len(outcomes) and (outcomes.type.name in known or is_retried())):
        return
    try:
        async with asyncio.timeout(NAMED_WITHIN):
            client, _ = get_or_create_client()
            await client.update_flow_run(id, name=name)
    except (httpx.HTTPError, PrefectException, TimeoutError) as error:
        run_logger().warning("the run keeps its name: Prefect refused another (%s)", type(error).__name__)


def _name_of(outcomes: Batch[Delivery]) -> str:
    sent = [delivery.notification for delivery in outcomes]
    attempt = min((one.tries for one in sent), default=0) + 1
    lanes = {one.priority for one in sent} or {outcomes.type.lane}
    lane = lanes.pop() if len(lanes) == 1 else outcomes.type.lane
    return run_name(outcomes.type, len(outcomes), attempt, lane)
