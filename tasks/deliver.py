"""Deliver: the first step of the route, with short retries that Prefect shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import task_run
from prefect.states import Scheduled

from waypost import Batch
from waypost.delivery.run import DeliveryRun, updated
from waypost.mail.masking import mask_in
from waypost.model.notification import Delivery, Rendered
from waypost.model.states import State as Where
from waypost.system.clock import monotonic, now
from waypost.tasks.delivery_run import delivery_run
from waypost.tasks.run_context import run_logger, step, without_prefect_active
from waypost.tasks.task_name import name_step


async def deliver(messages: Batch[Rendered]) -> Batch[Delivery]:
    """Offer each message once to the first provider that reaches its recipient.

    A provider that does not open is tried again by the type's retry policy, each try a Prefect
    task retry. After the last retry, its deliveries are deferred.
    """
    return await step(_deliver, messages.following(list(map(Delivery.begun, messages))))


@task(name="deliver", cache_policy=NO_CACHE)
async def _deliver(deliveries: Batch[Delivery]) -> Batch[Delivery] | State[Any]:
    # `deliveries` keeps the results of one try, so that the next try sends only the rest.
    began = monotonic()
    run = await delivery_run(deliveries)
    deliveries.items = await run.prepare(deliveries.items)
    waiting = [delivery for delivery in deliveries if delivery.state is Where.CLAIMED]
    moved, down = await run.send(waiting)
    deliveries.items = updated(deliveries.items, moved)
    left = [delivery for delivery in deliveries if delivery.state is Where.CLAIMED]
    if down and (again := _next_try(deliveries, f"{mask_in(down)}; {len(left)} waiting")):
        return again
    deliveries.items = updated(deliveries.items, await run.defer(left, down or ""))
    _tell(deliveries, run, monotonic() - began)
    return deliveries


def _next_try(deliveries: Batch[Delivery], why: str) -> State[Any] | None:
    """The state in which the step waits for its next try, if there is one. Returned, it makes Prefect try the
    step again at that time: a retry that Prefect makes itself shows an exception and no reason."""
    waits, tried = deliveries.type.retry.connect, task_run.run_count or 1
    if without_prefect_active() or tried > len(waits):
        return None
    wait = waits[tried - 1]
    told = f"{why}; try {tried + 1} of {len(waits) + 1} in {wait:g} s"
    if tried == 1:
        run_logger().warning("%s", told)
    return Scheduled(name="AwaitingRetry", message=told, scheduled_time=now() + timedelta(seconds=wait))


def _tell(deliveries: Batch[Delivery], run: DeliveryRun, seconds: float) -> None:
    """Log how many each provider took, and why another did not work."""
    taken = Counter(one.provider for one in deliveries if one.state is Where.SENT)
    name_step(f"deliver: {taken.total()} of {len(deliveries)}")
    passed_over = _passed_over(run, taken)
    told = [f"{count} sent through {provider} in {seconds:.1f} s" for provider, count in (+taken).items()]
    if passed_over:
        run_logger().warning("%s", "; ".join([*passed_over, *told]))
    elif told:
        run_logger().info("%s", "; ".join(told))


def _passed_over(run: DeliveryRun, taken: Counter[str]) -> Sequence[str]:
    """What other providers took in place of those that do not work; takes it from `taken`."""
    told: list[str] = []
    for (first, then, client), count in run.passed_over.items():
        state = run.router.provider_state(first).describe(client)
        taken[then] -= count
        told.append(f"{count} sent through {then}, because {state}")
    return told
