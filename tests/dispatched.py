"""What a dispatcher's tests accept, and the runs that came of it."""

from __future__ import annotations

from typing import Any

from ledgers import rows
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from deployments.registry import find
from waypost.ledger import intake
from waypost.ledger.tables import batches
from waypost.notification import Receipt


async def accepted(bench: Any, type: str, *asked: dict[str, Any]) -> list[Receipt]:
    """Requests of a type, as JSON, accepted into the bench's ledger."""
    adapter = find(type).request
    return await intake.accept(
        bench.runtime.ledger, find(type).type, [adapter.validate_python(one) for one in asked]
    )


async def claimed_runs(bench: Any, client: PrefectClient) -> list[FlowRun]:
    """The runs of the ledger's batches, oldest first, as Prefect shows them."""
    known = await rows(bench.runtime.ledger, batches)
    return [await client.read_flow_run(row.flow_run_id) for row in known if row.flow_run_id]
