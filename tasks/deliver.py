"""Deliver: the first step of the route, with short retries that Prefect shows."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import task_run

from tasks.faults import SafeError
from tasks.providers.setup import dispatch_of
from tasks.run_context import run_logger, step, without_prefect_active
from waypost import Batch
from waypost.delivery.run import DeliveryRun, updated
from waypost.mail.masking import mask_in
from waypost.model.notification import Delivery, Rendered
from waypost.model.states import State as Where


class ProviderDown(SafeError):
    """A provider would not open and nothing was sent through it. Fails one try of the task."""


async def deliver(messages: Batch[Rendered]) -> Batch[Delivery]:
    """Each message offered once to the first provider that reaches its recipient.

    A provider that will not open is tried again by the type's retry policy, each try a Prefect
    task retry; after the last one what it was meant to take is deferred.
    """
    waits = list(messages.type.retry.connect)
    started = [Delivery(rendered, Where.CLAIMED) for rendered in messages]
    return await step(
        _deliver,
        Batch(messages.type, messages.id, started),
        len(waits),
        retries=len(waits),
        retry_delay_seconds=waits,
        retry_condition_fn=_nothing_was_sent,
    )


def _nothing_was_sent(_task: object, _run: object, state: State[Any]) -> bool:
    """Only a provider that would not open is tried again here. After anything else some messages may
    be out: their notifications come back through the ledger, where they are counted as in doubt."""
    return isinstance(state.data, ProviderDown)


@task(name="deliver", cache_policy=NO_CACHE)
async def _deliver(deliveries: Batch[Delivery], retries: int) -> Batch[Delivery]:
    # What one try achieved is kept in `deliveries`, so that the next takes up only the rest.
    dispatch = await dispatch_of(deliveries)
    deliveries.items = await dispatch.prepare(deliveries.items)
    waiting = [delivery for delivery in deliveries if delivery.state is Where.CLAIMED]
    moved, down = await dispatch.send(waiting)
    deliveries.items = updated(deliveries.items, moved)
    left = [delivery for delivery in deliveries if delivery.state is Where.CLAIMED]
    if down and not without_prefect_active() and (task_run.run_count or 0) <= retries:
        raise ProviderDown(f"{mask_in(down)}; {len(left)} waiting")
    deliveries.items = updated(deliveries.items, await dispatch.defer(left, down or ""))
    _tell_passed_over(dispatch)
    return deliveries


def _tell_passed_over(dispatch: DeliveryRun) -> None:
    """A success over another provider is still a provider that does not work."""
    for (first, then), count in dispatch.passed_over.items():
        state = dispatch.outcomes.router.provider_state(first).describe()
        run_logger().warning("%d went through %s, as %s", count, then, state)
