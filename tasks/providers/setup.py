"""A run's way through its route, with what Prefect adds to it."""

from __future__ import annotations

from tasks.providers import events, rate_limit
from tasks.providers.blocks import current_runtime
from tasks.run_context import current_flow_run
from waypost import Batch
from waypost.delivery.run import DeliveryRun
from waypost.model.notification import Delivery


async def dispatch_of(deliveries: Batch[Delivery]) -> DeliveryRun:
    """The batch's way through its route. Prefect shows the rates of providers, and which do not work."""
    runtime = await current_runtime()
    for channel in runtime.channels:
        standing = runtime.provider_state(channel.name)
        standing.on_change = events.tell
        rate_limit.show(standing)
    return DeliveryRun.of(runtime, deliveries, current_flow_run())
