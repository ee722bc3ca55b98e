"""Creates the DeliveryRun of a batch, and connects its providers to Prefect."""

from __future__ import annotations

from waypost import Batch
from waypost.delivery.run import DeliveryRun
from waypost.model.notification import Delivery
from waypost.tasks.providers import events, rate_limit
from waypost.tasks.providers.blocks import current_runtime
from waypost.tasks.run_context import current_flow_run


async def dispatch_of(deliveries: Batch[Delivery]) -> DeliveryRun:
    """The DeliveryRun of a batch. Prefect shows the rates of its providers, and which do not work."""
    runtime = await current_runtime()
    for channel in runtime.providers.channels:
        state = runtime.providers.state(channel.name)
        if runtime.settings.prefect_reports:
            state.on_change = events.tell
        rate_limit.show(state)
    return DeliveryRun.of(runtime, deliveries, current_flow_run())
