"""Takes a run's steps for due notifications, without Prefect."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prefect import Flow

from support.ledger import NOTE
from waypost import Batch, NotificationType, Report
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.ledger.queue import claims
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.model.notification import Delivery, Notification
from waypost.model.priority import Priority
from waypost.tasks.deliver import deliver
from waypost.tasks.fallback import fallback
from waypost.tasks.render import render
from waypost.tasks.run_context import without_prefect
from waypost.tasks.run_state import NotificationsFailed

T = TypeVar("T")

SETTINGS = Settings(templates=Path(__file__).parents[1] / "templates", sender="s@a.example")


async def run(
    runtime: Runtime,
    lane: Priority = Priority.NORMAL,
    allowed_as: NotificationType | None = None,
    type: NotificationType = NOTE,
) -> Sequence[Delivery]:
    """Render, deliver and fall back, for every notification of a lane that is due. allowed_as: the type by
    whose category its recipients are asked what may be sent; None asks nobody. type: of the notifications."""
    terms = runtime.settings.categories
    policy = None if allowed_as is None else SendingPolicy.of(allowed_as, terms, [allowed_as])
    claim = await claims.reserve(runtime.ledger, type.name, lane)
    assert claim is not None
    taken = await claims.take_up(runtime.ledger, type.name, claim.id, policy=policy)
    return await within(runtime, _send(Batch(type, claim.id, taken.notifications)))


async def _send(notifications: Batch[Notification]) -> Sequence[Delivery]:
    with without_prefect():
        return list(await fallback(await deliver(await render(notifications))))


async def report_of(flow: Flow[..., Any], *arguments: Any) -> Report:
    """Call a flow as a function; the report of its run, also where notifications failed."""
    state = await flow(*arguments, return_state=True)
    return reported(await state.result(raise_on_failure=False))


def reported(found: Any) -> Report:
    """The report in the data of a run's state."""
    return found.report if isinstance(found, NotificationsFailed) else found


async def within(runtime: Runtime, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in a task that has this runtime. The test itself must not adopt the runtime: later tests
    share its context."""

    async def adopting() -> T:
        runtime.adopt()
        return await work

    return await asyncio.create_task(adopting())
