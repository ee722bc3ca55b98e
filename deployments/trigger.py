"""Creating runs: a batch id is all they are given, so that Prefect never sees an address."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun

from deployments.registry import Registered


async def trigger(client: PrefectClient, one: Registered, batch: UUID, size: int) -> FlowRun:
    """Create the run that will claim `batch`. Creating it again answers the same run."""
    deployment = await client.read_deployment_by_name(one.deployment)
    return await client.create_flow_run_from_deployment(
        deployment.id,
        parameters={"batch": str(batch)},
        name=f"{one.type.name}-{size}-{batch.hex[-6:]}",
        idempotency_key=str(batch),
    )
