"""When the next digest goes out: its schedule is Prefect's, where people edit it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectException

from waypost.deployments.prefect_api import prefect_client
from waypost.deployments.registry import Registered, registered
from waypost.tasks.client_retries import client_retries

ANSWERS_WITHIN = 5.0  # seconds; the command says what the ledger knows anyway


async def next_digest() -> datetime | None:
    """The start of the next scheduled run of a digest; None if none is scheduled or Prefect does not say."""
    digests = [one for one in registered().values() if one.type.digest]
    try:
        with client_retries(0):
            async with asyncio.timeout(ANSWERS_WITHIN), prefect_client() as client:
                return await _first(client, digests)
    except (httpx.HTTPError, PrefectException, TimeoutError):
        return None


async def _first(client: PrefectClient, digests: Sequence[Registered]) -> datetime | None:
    found: list[datetime] = []
    for one in digests:
        try:
            deployment = await client.read_deployment_by_name(one.deployment)
        except ObjectNotFound:
            continue
        runs = await client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
        found += [run.expected_start_time for run in runs if run.expected_start_time]
    return min(found, default=None)
