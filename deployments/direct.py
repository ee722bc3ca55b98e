"""Sending without Prefect: a type's own flow, its steps called instead of orchestrated."""

from __future__ import annotations

from deployments.registry import find
from deployments.stopping import in_hand
from tasks.runs import without_prefect
from waypost.ledger.claims import Claim
from waypost.runtime import Runtime


async def deliver(claim: Claim) -> None:
    """Take the steps of the batch's type in this process. The batch ends as sent directly, which is what
    Prefect is told once it answers."""
    runtime = await Runtime.current()
    async with in_hand(runtime):
        with without_prefect():
            await find(claim.type).flow.fn(batch=claim.id)
