"""Creates the DeliveryRun of a batch, and connects its providers to Prefect."""

from __future__ import annotations

from tasks.providers import events, rate_limit
from tasks.providers.blocks import current_runtime
from tasks.run_context import current_flow_run
from waypost import Batch
from waypost.delivery.run import DeliveryRun
from waypost.model.notification import Delivery


async def dispatch_of(deliveries: Batch[Delivery]) -> DeliveryRun:
    """The DeliveryRun of a batch. Prefect shows the rates of its providers, and which do not work."""
    runtime = await current_runtime()
    for channel in runtime.channels:
        state = runtime.provider_state(channel.name)
        state.on_change = events.tell
        rate_limit.show(state)
    return DeliveryRun.of(runtime, deliveries, current_flow_run())
