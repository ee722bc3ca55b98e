"""The name of a run: `36 order-confirmation · attempt 2 · urgent`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from uuid import UUID

import httpx
from prefect.client.utilities import get_or_create_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from waypost.model.notification import Notification
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.tasks.run_context import current_flow_run, is_retried, run_logger, without_prefect_active

# The names that Prefect makes up for runs: an adjective and a noun, such as "brave-otter"; its UI makes up
# stars, such as "chi63-ursae-majoris".
GENERATED = re.compile(r"[a-z]+\d*(-[a-z]+){1,3}")
NAMED_WITHIN = 3.0  # seconds; a run waits no longer for Prefect to take its name

_naming: dict[asyncio.Task[None], UUID] = {}  # the requests on their way, and their runs


def run_name(type: NotificationType, count: int, attempt: int, lane: Priority) -> str:
    """The count and the type; the attempt if it is a repeat, the lane if it is not the type's own."""
    parts = [f"{count} {type.name}"]
    if attempt > 1:
        parts.append(f"attempt {attempt}")
    if lane is not type.lane:
        parts.append(str(lane))
    return " · ".join(parts)


def name_run(type: NotificationType, taken: Sequence[Notification]) -> None:
    """Begin to give the run its name if it has another: it was not created for a batch, or more joined the
    batch. The request goes beside the run's work; `named` waits for it. A name that a person gave stays."""
    id = None if without_prefect_active() else current_flow_run()
    if id is None:
        return
    known, name = flow_run.name or "", _name_of(type, taken)
    ours = _is_ours(known, type)
    # Without notifications, a run that was named by its count began with more, which another run has; a
    # retried run had them before.
    if not taken and (ours or is_retried()):
        return
    if known != name and (ours or GENERATED.fullmatch(known)):
        task = asyncio.create_task(_give(id, name))
        _naming[task] = id
        task.add_done_callback(_naming.pop)


async def named() -> None:
    """Wait until the request for the run's name is over, if there is one."""
    if its := [task for task, run in _naming.items() if run == current_flow_run()]:
        await asyncio.wait(its)


async def _give(id: UUID, name: str) -> None:
    """A name that Prefect refuses fails nothing."""
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


def _name_of(type: NotificationType, taken: Sequence[Notification]) -> str:
    attempt = min((one.tries for one in taken), default=0) + 1
    lanes = {one.priority for one in taken}
    lane = lanes.pop() if len(lanes) == 1 else type.lane
    return run_name(type, len(taken), attempt, lane)
