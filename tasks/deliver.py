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
    """Offer each message once to the first provider that reaches its recipient.

    A provider that does not open is tried again by the type's retry policy, each try a Prefect
    task retry. After the last retry, its deliveries are deferred.
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
    """Retry only if a provider would not open. After any other failure some messages may have been sent:
    their notifications come back through the ledger, where they are counted as in doubt."""
    return isinstance(state.data, ProviderDown)


@task(name="deliver", cache_policy=NO_CACHE)
async def _deliver(deliveries: Batch[Delivery], retries: int) -> Batch[Delivery]:
    # `deliveries` keeps the results of one try, so that the next try sends only the rest.
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
    """Log each provider that was passed over: it does not work, even if another provider does."""
    for (first, then), count in dispatch.passed_over.items():
        state = dispatch.outcomes.router.provider_state(first).describe()
        run_logger().warning("%d went through %s, as %s", count, then, state)
