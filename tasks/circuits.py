"""A provider that is left alone, or works again, as an event of Prefect's: in its UI, and for automations."""

from __future__ import annotations

from prefect.events import emit_event

from tasks.runs import alone
from waypost.breaker import Circuit
from waypost.standing import Standing


def tell(standing: Standing) -> None:
    """Emit `waypost.provider.left-alone` or `waypost.provider.works-again`, and what was found."""
    if alone():
        return
    closed = standing.breaker.circuit is Circuit.CLOSED
    emit_event(
        event=f"waypost.provider.{'works-again' if closed else 'left-alone'}",
        resource={
            "prefect.resource.id": f"waypost.provider.{standing.name}",
            "prefect.resource.name": standing.name,
        },
        payload={"found": standing.describe()},
    )
