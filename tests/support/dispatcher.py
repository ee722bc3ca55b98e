"""For tests of the dispatcher: accepts requests, and reads the runs that resulted."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from support.ledger import rows
from waypost.deployments.registry import find
from waypost.ledger.database.tables import batches
from waypost.ledger.intake import accept
from waypost.model.receipt import Receipt


async def accepted(bench: Any, type: str, *asked: dict[str, Any]) -> list[Receipt]:
    """Accept requests of a type, as JSON, into the bench's ledger."""
    adapter = find(type).request
    return await accept.accept(
        bench.runtime.ledger, find(type).type, [adapter.validate_python(one) for one in asked]
    )


async def claimed_runs(bench: Any, client: PrefectClient) -> list[FlowRun]:
    """The runs of the ledger's batches, oldest first, as Prefect shows them."""
    known = await rows(bench.runtime.ledger, batches)
    return [await client.read_flow_run(row.flow_run_id) for row in known if row.flow_run_id]
