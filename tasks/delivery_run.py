"""Creates the DeliveryRun of a batch, and connects its providers to Prefect."""

from __future__ import annotations

from uuid import UUID

from waypost import Batch
from waypost.delivery.outcomes import OutcomeHandler
from waypost.delivery.router import Router
from waypost.delivery.run import DeliveryRun
from waypost.delivery.runtime import Runtime
from waypost.model.notification import Delivery
from waypost.tasks.blocks import current_runtime
from waypost.tasks.providers import events, rate_limit
from waypost.tasks.run_context import current_flow_run


async def delivery_run(deliveries: Batch[Delivery]) -> DeliveryRun:
    """The DeliveryRun of a batch. Prefect shows the rates of its providers, and which do not work."""
    runtime = await current_runtime()
    for channel in runtime.providers.channels:
        state = runtime.providers.state(channel.name)
        if runtime.settings.prefect_reports:
            state.on_change = events.tell
        rate_limit.show(state)
    return delivery_run_in(runtime, deliveries, current_flow_run())


def delivery_run_in(
    runtime: Runtime, deliveries: Batch[Delivery], flow_run_id: UUID | None = None
) -> DeliveryRun:
    """The DeliveryRun of a batch, with what it uses of the runtime."""
    router = Router.of(deliveries, runtime.providers, runtime.brands)
    outcomes = OutcomeHandler(router, runtime.recorder, deliveries.id, flow_run_id)
    return DeliveryRun(router, outcomes, runtime.ledger, runtime.late)
