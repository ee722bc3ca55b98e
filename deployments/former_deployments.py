"""Deployments of earlier versions, each named `<type>/waypost`.

An upgrade takes over what a person set there.

The former deployment stays until none of its runs is open, as Prefect deletes the scheduled runs of a
deployment with it. Marked, it has no schedule, so that nothing runs twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import DeploymentSchedule, StateType
from prefect.client.schemas.responses import DeploymentResponse

from waypost.deployments.registry import Registered

NAME = "waypost"
REPLACED = "replaced"  # the tag of a former deployment whose settings were taken over
OPEN = [
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.PAUSED,
    StateType.CANCELLING,
]


def is_former(one: DeploymentResponse, work_pool: str) -> bool:
    """Whether a deployment of a type's flow is of an earlier version: a person's own may have its name."""
    return one.name == NAME and one.work_pool_name in (work_pool, None)


def find(
    known: Mapping[str, DeploymentResponse], work_pool: str, one: Registered
) -> DeploymentResponse | None:
    """The former deployment of a type, among the deployments that are there by `FLOW/NAME`."""
    name = f"{one.flow.name}/{NAME}"
    found = None if name == one.deployment else known.get(name)  # a type of that name: its present deployment
    return found if found and is_former(found, work_pool) else None


def kept(former: DeploymentResponse) -> dict[str, Any]:
    """What a person may have set at the deployment, as fields of a new deployment."""
    limit = former.global_concurrency_limit
    return {
        "paused": former.paused,
        "parameters": former.parameters,
        "job_variables": former.job_variables,
        "concurrency_limit": limit.limit if limit else None,
        "concurrency_options": former.concurrency_options,
        "schedules": [DeploymentScheduleCreate(**_fields(one), slug=one.slug) for one in former.schedules],
    }


def merged(
    former: DeploymentResponse, existing: DeploymentResponse, declared: Sequence[DeploymentScheduleCreate]
) -> dict[str, Any]:
    """What a person may have set at the former deployment or at its successor, which `prefect deploy` made
    before the former was replaced, as fields of an update. `declared`: the schedules that the type's file
    gives; the successor's copies of these do not count, as a person may have changed them at the former."""
    known = kept(former)
    limit = existing.global_concurrency_limit
    earlier = [one.schedule for one in (*former.schedules, *declared)]
    slugs = {one.slug for one in former.schedules if one.slug}
    schedules = [*former.schedules, *(one for one in existing.schedules if one.schedule not in earlier)]
    return {
        "paused": former.paused or existing.paused,
        "parameters": {**known["parameters"], **existing.parameters},
        "job_variables": {**known["job_variables"], **existing.job_variables},
        "concurrency_limit": limit.limit if limit else known["concurrency_limit"],
        "concurrency_options": existing.concurrency_options or known["concurrency_options"],
        "schedules": [
            DeploymentScheduleUpdate(
                **_fields(one),
                slug=None if one.deployment_id == existing.id and one.slug in slugs else one.slug,
            )
            for one in schedules
        ],
    }


def _fields(one: DeploymentSchedule) -> dict[str, Any]:
    """What a person may have set at a schedule, without its slug."""
    return {
        "schedule": one.schedule,
        "active": one.active,
        "max_scheduled_runs": one.max_scheduled_runs,
        "parameters": one.parameters,
    }


async def mark_replaced(client: PrefectClient, former: DeploymentResponse) -> None:
    """Take the schedules of a former deployment away: its successor has them."""
    if REPLACED not in former.tags:
        change = DeploymentUpdate(schedules=[], tags=[*former.tags, REPLACED])
        await client.update_deployment(former.id, change)


async def remove_finished(client: PrefectClient, found: Iterable[DeploymentResponse]) -> None:
    """Delete the replaced ones, of these former deployments, of which no run is open."""
    for one in found:
        if REPLACED in one.tags and not await _has_open_runs(client, one):
            await client.delete_deployment(one.id)


async def _has_open_runs(client: PrefectClient, one: DeploymentResponse) -> bool:
    of_it = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[one.id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)),
    )
    return bool(await client.read_flow_runs(flow_run_filter=of_it, limit=1))
