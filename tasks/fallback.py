"""Fallback: a message that one provider definitely refused goes to the next step of its route."""

from __future__ import annotations

from collections import Counter

from prefect import task
from prefect.cache_policies import NO_CACHE

from waypost import Batch
from waypost.delivery.run import DeliveryRun, updated
from waypost.model.notification import Delivery
from waypost.model.states import State
from waypost.tasks.delivery_run import delivery_run
from waypost.tasks.run_context import run_logger, step
from waypost.tasks.task_name import name_step


async def fallback(outcomes: Batch[Delivery]) -> Batch[Delivery]:
    """Only a definite refusal, or a deadline that leaves no time to try again, moves on. UNKNOWN does
    not: the first provider may have delivered. A run of which no message was refused has no such step: each
    costs Prefect three events."""
    return await step(_fallback, outcomes) if any(one.refused for one in outcomes) else outcomes


@task(name="fallback", cache_policy=NO_CACHE)
async def _fallback(outcomes: Batch[Delivery]) -> Batch[Delivery]:
    run = await delivery_run(outcomes)
    items = list(outcomes)
    while refused := [run.advance(delivery) for delivery in items if delivery.refused]:
        moved, down = await run.send(refused)
        done = {delivery.notification.id for delivery in moved}
        left = [delivery for delivery in refused if delivery.notification.id not in done]
        items = updated(items, moved, await run.defer(left, down or ""))
    _tell(run, outcomes, items)
    return outcomes.following(items)


def _tell(run: DeliveryRun, before: Batch[Delivery], after: list[Delivery]) -> None:
    """Log each provider that refused, even if the fallback succeeded."""
    refused = {delivery.notification.id: delivery.provider for delivery in before if delivery.refused}
    rescued = [one for one in after if one.notification.id in refused and one.state is State.SENT]
    kinds = Counter(run.router.step(one)[0] for one in rescued)
    by = ", ".join(f"{count} by {kind}" for kind, count in kinds.items())
    name_step(f"fallback: {by or f'0 of {len(refused)}'}")
    pairs = Counter((refused[one.notification.id], one.provider) for one in rescued).items()
    if told := [f"{count} refused by {first}, then sent through {then}" for (first, then), count in pairs]:
        run_logger().warning("%s", "; ".join(told))
