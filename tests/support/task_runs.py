"""Task runs as Prefect shows them.

Its recorder writes them from events, some time after they have ended.
"""

import asyncio

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import TaskRunSort


async def ended_task_run(client: PrefectClient, flow_run_id: object, name: str) -> TaskRun:
    """The flow run's task of that name, once Prefect has written how it ended."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    for _ in range(100):
        found = await client.read_task_runs(
            flow_run_filter=wanted, sort=TaskRunSort.EXPECTED_START_TIME_ASC, limit=50
        )
        for run in found:
            if run.name.startswith(name) and run.state and run.state.is_final():
                return run
        await asyncio.sleep(0.1)
    raise AssertionError(f"Prefect does not know the task {name}")
