"""Emits a Prefect event when a provider's circuit opens or closes, for the UI and for automations."""

from __future__ import annotations

from prefect.events import emit_event

from waypost.delivery.provider_state import ProviderState
from waypost.tasks.run_context import without_prefect_active


def tell(state: ProviderState, client: str) -> None:
    """Emit `waypost.provider.circuit-opened` or `waypost.provider.circuit-closed`, with the reason. client:
    the client whose circuit it is; empty for the provider's."""
    if without_prefect_active():
        return
    closed = state.is_closed(client)
    emit_event(
        event=f"waypost.provider.{'circuit-closed' if closed else 'circuit-opened'}",
        resource={
            "prefect.resource.id": f"waypost.provider.{state.name}",
            "prefect.resource.name": state.name,
        },
        payload={"found": state.describe(client)},
    )
