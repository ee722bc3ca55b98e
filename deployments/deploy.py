"""Creates Prefect deployments for the notification types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from waypost import NotificationType, Priority
from waypost.config.settings import Settings
from waypost.deployments import descriptions, former_deployments, hold_flow, open_project, retry_flow
from waypost.deployments.form_schema import form_schema
from waypost.deployments.known_deployments import KnownDeployments
from waypost.deployments.registry import Registered, registered
from waypost.deployments.resident_worker.worker import ResidentWorker
from waypost.tasks.brands.brand_block import WaypostBrand
from waypost.tasks.providers.provider_block import WaypostProvider

Known = Mapping[str, DeploymentResponse]  # deployments that are there, by `FLOW/NAME`

TAG = "waypost"  # of every deployment, and so of every run


def unscheduled() -> list[str]:
    """A sentence for each type with an invalid cron expression."""
    faults: list[str] = []
    for one in registered().values():
        try:
            _schedules(one.type)
        # A function of the file may raise anything; Prefect's own message fills a page.
        except (Exception, SystemExit):
            also = " (set WAYPOST_DIGEST_CRON for the digest)" if one.type.name == "digest" else ""
            faults.append(
                f"{one.file}: invalid cron expression. Use five fields, for example '0 8 * * *'{also}"
            )
    return faults


async def deploy(client: PrefectClient, work_pool: str) -> dict[str, UUID]:
    """Create or update the work pool, a deployment per type, `waypost-retry`, `waypost-hold`, and the block
    types that providers and brands are kept as; returns the ids of the types' deployments.

    Schedules are set only when a deployment is new, or has none and its type asks a source: afterwards they
    are edited in the Prefect UI. So are the other tags. A deployment of an earlier version, `<type>/waypost`,
    hands its settings over.
    """
    await _ensure_work_pool(client, work_pool)
    await _ensure_queues(client, work_pool)
    for block in (WaypostProvider, WaypostBrand):
        await block.aregister_type_and_schema(client=client)
    known = await _known(client)
    for operation in OPERATIONS:
        await _deploy_operation(client, work_pool, operation, known)
    return {name: await _deploy_one(client, work_pool, one, known) for name, one in registered().items()}


async def _known(client: PrefectClient) -> Known:
    """The deployments that are there of the types, present and former, and of the operations."""
    ours = [one.deployment for one in (*registered().values(), *OPERATIONS)]
    return await KnownDeployments().read(client, ours, [former_deployments.NAME])


async def _ensure_work_pool(client: PrefectClient, name: str) -> None:
    template = ResidentWorker.get_default_base_job_template()
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        wanted = WorkPoolCreate(
            name=name, type=ResidentWorker.type, base_job_template=template, description=descriptions.POOL
        )
        with suppress(ObjectAlreadyExists):  # another process was quicker
            await client.create_work_pool(wanted)
        return
    change: dict[str, Any] = {} if pool.description else {"description": descriptions.POOL}
    if pool.type == ResidentWorker.type and pool.base_job_template != template:
        change["base_job_template"] = template
    if change:
        await client.update_work_pool(name, WorkPoolUpdate(**change))


async def _ensure_queues(client: PrefectClient, work_pool: str) -> None:
    """Create a queue per lane, so that every kind of worker takes urgent runs first."""
    known = {queue.name: queue for queue in await client.read_work_queues(work_pool_name=work_pool)}
    for priority in Priority:
        if priority not in known:
            with suppress(ObjectAlreadyExists):
                await client.create_work_queue(
                    str(priority), descriptions.queue_description(priority),
                    priority=priority.rank + 1, work_pool_name=work_pool,
                )  # fmt: skip
    told = {str(priority): descriptions.queue_description(priority) for priority in Priority}
    told["default"] = descriptions.DEFAULT_QUEUE
    for name in told.keys() & known.keys():
        if not known[name].description:
            await client.update_work_queue(known[name].id, description=told[name])


def described(work_pool: str, one: Registered) -> dict[str, Any]:
    """The fields of a type's deployment, without its schedule."""
    form = form_schema(one.flow.parameters.model_dump_for_openapi(), one.type.kinds)
    return {
        "description": descriptions.description(one, form),
        "version": descriptions.version_of(one),
        "tags": [TAG],
        **_run_in(work_pool, one.type.lane, one.entrypoint, form),
    }


def _run_in(work_pool: str, lane: Priority, entrypoint: str, form: dict[str, Any]) -> dict[str, Any]:
    """The fields that say where and how a deployment's runs are run."""
    return {
        "entrypoint": entrypoint,
        "work_pool_name": work_pool,
        "work_queue_name": str(lane),
        "parameter_openapi_schema": form,
        "enforce_parameter_schema": True,
        "pull_steps": open_project.steps(Settings().project),
    }


async def _deploy_one(client: PrefectClient, work_pool: str, one: Registered, known: Known) -> UUID:
    wanted = described(work_pool, one)
    former = former_deployments.find(known, work_pool, one)
    existing = known.get(one.deployment)
    if existing is None:
        id = await _create(client, one, wanted, former)
    else:
        id = existing.id
        await _update(client, one, existing, wanted, former)
    if former is not None:
        await former_deployments.mark_replaced(client, former)
    return id


async def _update(
    client: PrefectClient,
    one: Registered,
    existing: DeploymentResponse,
    wanted: dict[str, Any],
    former: DeploymentResponse | None,
) -> None:
    """Update a type's deployment, with what a person has set at its former deployment."""
    tags, own = existing.tags, dict[str, Any]()
    if former is not None and former_deployments.REPLACED not in former.tags:
        tags = [*existing.tags, *former.tags]
        own = former_deployments.merged(former, existing, _schedules(one.type))
    await _change(client, existing, wanted | {"tags": _tags(one, tags)} | own)
    if one.type.asks_source and not existing.schedules and not own.get("schedules"):
        await _begin_schedules(client, one, existing.id)


async def _change(client: PrefectClient, existing: DeploymentResponse, wanted: dict[str, Any]) -> None:
    """Update the fields that differ, in one request; without a difference in none: each costs the server the
    check of a form."""
    update = DeploymentUpdate(**wanted).model_dump(mode="json", exclude_unset=True)
    shown = existing.model_dump(mode="json", include=set(update))
    if any(shown.get(field) != value for field, value in update.items()):
        await client.update_deployment(existing.id, DeploymentUpdate(**wanted))


async def _begin_schedules(client: PrefectClient, one: Registered, id: UUID) -> None:
    """Give a deployment the schedules of a type that had no source when it was made."""
    if schedules := [(wanted.schedule, True) for wanted in _schedules(one.type)]:
        await client.create_deployment_schedules(id, schedules)


async def _create(
    client: PrefectClient, one: Registered, wanted: dict[str, Any], former: DeploymentResponse | None
) -> UUID:
    """Create a type's deployment, with what a person has set at its former deployment."""
    if former is None or former_deployments.REPLACED in former.tags:
        own: dict[str, Any] = {"schedules": _schedules(one.type)}
    else:
        own = {**former_deployments.kept(former), "tags": _tags(one, former.tags)}
    flow_id = await client.create_flow(one.flow)
    return await client.create_deployment(flow_id=flow_id, name=one.type.name, **{**wanted, **own})


def _tags(one: Registered, known: Sequence[str]) -> list[str]:
    """A person's own tags, and ours without those that earlier versions gave."""
    return list(dict.fromkeys([TAG, *(tag for tag in known if tag != one.type.name)]))


@dataclass(frozen=True, slots=True)
class Operation:
    """A flow by which a person changes the ledger from the Prefect UI."""

    flow: Flow[..., Any]
    entrypoint: str
    description: str
    form: Callable[[], dict[str, Any]]

    @property
    def deployment(self) -> str:
        return f"{self.flow.name}/{self.flow.name}"


OPERATIONS = (
    Operation(retry_flow.retry, retry_flow.ENTRYPOINT, descriptions.RETRY, retry_flow.form),
    Operation(hold_flow.hold, hold_flow.ENTRYPOINT, descriptions.HOLD, hold_flow.form),
)


async def _deploy_operation(client: PrefectClient, work_pool: str, one: Operation, known: Known) -> None:
    wanted: dict[str, Any] = {
        "description": one.description,
        "version": installed("waypost"),
        **_run_in(work_pool, Priority.URGENT, one.entrypoint, one.form()),
    }
    if existing := known.get(one.deployment):
        await _change(client, existing, wanted)
        return
    flow_id = await client.create_flow(one.flow)
    await client.create_deployment(flow_id=flow_id, name=one.flow.name, tags=[TAG], **wanted)


def _schedules(type: NotificationType) -> list[DeploymentScheduleCreate]:
    """None for a type that asks a source and has none. Raises ValueError for an invalid cron expression, and
    whatever a function given as `cron` raises."""
    cron = type.schedule
    if type.asks_source and type.name not in Settings().sources:
        return []
    return [] if cron is None else [DeploymentScheduleCreate(schedule=CronSchedule(cron=cron), active=True)]
