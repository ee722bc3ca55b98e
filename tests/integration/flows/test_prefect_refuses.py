"""What Prefect refuses to show fails nothing: the ledger has it, and the next run goes on."""

import asyncio

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.http_faults import refusing
from support.ledger import rows
from support.resident import asks, working

from waypost.deployments.processes.flush import flush_prefect
from waypost.ledger.database.tables import batches

pytestmark = pytest.mark.anyio


def artifacts(request):
    return request.startswith(b"POST /api/artifacts/")


def names(request):
    """The request for the name of a run; Prefect itself asks for its labels."""
    return request.startswith(b"PATCH /api/flow_runs/") and b'"name"' in request


def ends(request):
    """The state in which a run ends."""
    return b"/set_state HTTP" in request and (b'"COMPLETED"' in request or b'"FAILED"' in request)


@pytest.mark.parametrize("refused", [artifacts, names, ends])
async def test_what_prefect_refuses_to_show_is_sent_and_recorded_all_the_same(bench, server, refused):
    async with refusing(server.api.removesuffix("/api"), refused) as (url, front):
        with temporary_settings({PREFECT_API_URL: f"{url}/api"}):
            async with get_client() as client, working(client) as deployment:
                for _ in range(2):
                    await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
                while len(found := await rows(bench.runtime.ledger, batches)) < 2 or not all(
                    row.ended_at for row in found
                ):
                    await asyncio.sleep(0.1)
            await flush_prefect()
    assert len(bench.primary.sent) == 4
    assert {row.state for row in await rows(bench.runtime.ledger)} == {"sent"}
    assert front.refused
