"""Sends a batch without Prefect: calls the steps of the type's own flow directly."""

from __future__ import annotations

from deployments.registry import find
from deployments.stopping import in_hand
from tasks.faults import CodeFailed, guarded_flow
from tasks.run_context import give_back_all, without_prefect
from waypost.delivery.runtime import Runtime
from waypost.ledger.queue.claims import Claim


async def deliver(claim: Claim) -> None:
    """Take the steps of the batch's type in this process. The batch ends as sent directly, and Prefect is
    told so once it answers."""
    runtime = await Runtime.current()
    found = find(claim.type)
    async with in_hand(runtime) as held:
        with without_prefect():
            try:
                await guarded_flow(found.flow).fn(batch=claim.id)
            except CodeFailed as failed:
                await give_back_all(held, found.type, failed)
                raise
