"""Sends a batch without Prefect: calls the steps of the type's own flow directly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from waypost.delivery.runtime import Runtime
from waypost.deployments.registry import find
from waypost.deployments.stopping import in_hand
from waypost.ledger.queue.claims import Claim
from waypost.model.notification_type import NotificationType
from waypost.tasks.faults import CodeFailed, guarded_flow
from waypost.tasks.run_context import give_back_all, without_prefect


async def deliver(claim: Claim) -> None:
    """Take the steps of the batch's type in this process. The batch ends as sent directly, and Prefect is
    told so once it answers."""
    found = find(claim.type)
    await take_steps(claim, found.type, guarded_flow(found.flow).fn)


async def take_steps(claim: Claim, type: NotificationType, steps: Callable[..., Awaitable[Any]]) -> None:
    """Like `deliver`. steps: the code of the type's flow, which takes a `batch`. Raises CodeFailed."""
    runtime = await Runtime.current()
    async with in_hand(runtime.ledger, runtime.leases) as held:
        with without_prefect():
            try:
                await steps(batch=claim.id)
            except CodeFailed as failed:
                await give_back_all(held, type, failed)
                raise
