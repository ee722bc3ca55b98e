"""Fallback: a message that one provider definitely refused goes to the next step of its route."""

from __future__ import annotations

from collections import Counter

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.providers.setup import dispatch_of
from tasks.run_context import run_logger, step
from waypost import Batch
from waypost.delivery.run import updated
from waypost.model.notification import Delivery
from waypost.model.states import State


async def fallback(outcomes: Batch[Delivery]) -> Batch[Delivery]:
    """Only a definite refusal, or a deadline that leaves no time to try again, moves on. UNKNOWN does
    not: the first provider may have delivered."""
    return await step(_fallback, outcomes)


@task(name="fallback", cache_policy=NO_CACHE)
async def _fallback(outcomes: Batch[Delivery]) -> Batch[Delivery]:
    dispatch = await dispatch_of(outcomes)
    items = list(outcomes)
    while refused := [dispatch.advance(delivery) for delivery in items if delivery.refused]:
        moved, down = await dispatch.send(refused)
        done = {delivery.notification.id for delivery in moved}
        left = [delivery for delivery in refused if delivery.notification.id not in done]
        items = updated(items, moved, await dispatch.defer(left, down or ""))
    _tell(outcomes, items)
    return Batch(outcomes.type, outcomes.id, items)


def _tell(before: Batch[Delivery], after: list[Delivery]) -> None:
    """Log each provider that refused, even if the fallback succeeded."""
    refused = {delivery.notification.id: delivery.provider for delivery in before if delivery.refused}
    rescued = Counter(
        (refused[delivery.notification.id], delivery.provider)
        for delivery in after
        if delivery.notification.id in refused and delivery.state is State.SENT
    )
    for (first, then), count in rescued.items():
        run_logger().warning("%d refused by %s went through %s", count, first, then)
