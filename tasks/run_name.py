"""The name of a run: `36 order-confirmation · attempt 2 · urgent`."""

from __future__ import annotations

import asyncio
import re

import httpx
from prefect.client.utilities import get_or_create_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from waypost import Batch
from waypost.model.notification import Delivery
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.tasks.run_context import current_flow_run, is_retried, run_logger, without_prefect_active

# The names that Prefect makes up for runs: an adjective and a noun, such as "brave-otter"; its UI makes up
# stars, such as "chi63-ursae-majoris".
GENERATED = re.compile(r"[a-z]+\d*(-[a-z]+){1,3}")
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
    """Give the run its name if it has another: it was not created for a batch, or more joined the batch."""
    # Without outcomes, a run that was named by its count began with more, which another run has; a retried
    # run had them before.
    if not len(outcomes) and (_is_ours(flow_run.name or "", outcomes.type) or is_retried()):
        return
    await _give(_name_of(outcomes), outcomes.type)


async def name_by_count(type: NotificationType, count: int) -> None:
    """Name a run that was cancelled, unless it has a name."""
    if not _is_ours(flow_run.name or "", type):
        await _give(run_name(type, count, 1, type.lane), type)


async def _give(name: str, type: NotificationType) -> None:
    """Give the run this name, unless a person has named it. A name that Prefect refuses fails nothing."""
    id = None if without_prefect_active() else current_flow_run()
    known = flow_run.name or ""
    if id is None or known == name or not (_is_ours(known, type) or GENERATED.fullmatch(known)):
        return
    try:
        async with asyncio.timeout(NAMED_WITHIN):
            client, _ = get_or_create_client()
            await client.update_flow_run(id, name=name)
    except httpx.HTTPStatusError as error:
        run_logger().warning(
            "the run keeps its name: Prefect refused another (%s)", error.response.status_code
        )
    except (httpx.HTTPError, PrefectException, TimeoutError) as error:
        kind = error.__class__.__name__
        run_logger().warning("the run keeps its name: Prefect did not answer in time (%s)", kind)


def _is_ours(name: str, type: NotificationType) -> bool:
    """Whether Waypost gave the name."""
    return re.fullmatch(rf"\d+ {re.escape(type.name)}( · .*)?", name) is not None


def _name_of(outcomes: Batch[Delivery]) -> str:
    sent = [delivery.notification for delivery in outcomes]
    attempt = min((one.tries for one in sent), default=0) + 1
    lanes = {one.priority for one in sent} or {outcomes.type.lane}
    lane = lanes.pop() if len(lanes) == 1 else outcomes.type.lane
    return run_name(outcomes.type, len(outcomes), attempt, lane)
