"""A run's way through its route, with what Prefect adds to it."""

from __future__ import annotations

from tasks import circuits, rates
from tasks.blocks import current_runtime
from tasks.runs import current_flow_run
from waypost import Batch
from waypost.delivery import Dispatch
from waypost.notification import Delivery


async def dispatch_of(deliveries: Batch[Delivery]) -> Dispatch:
    """The batch's way through its route. Prefect shows the rates of providers, and which do not work."""
    runtime = await current_runtime()
    for channel in runtime.channels:
        standing = runtime.standing(channel.name)
        standing.on_change = circuits.tell
        rates.show(standing)
    return Dispatch.of(runtime, deliveries, current_flow_run())
