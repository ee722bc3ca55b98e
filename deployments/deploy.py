"""Creates Prefect deployments for the notification types."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from deployments import registry
from deployments.registry import Registered, registered
from deployments.resident_worker.worker import ResidentWorker
from tasks.providers.provider_block import WaypostProvider
from waypost import NotificationType, Priority


def unscheduled() -> list[str]:
    """A sentence for each type with an invalid cron expression."""
    faults: list[str] = []
    for one in registered().values():
        try:
            _schedules(one.type)
        # A function of the file may raise anything; Prefect's own message fills a page.
        except (Exception, SystemExit):
            also = "; the digest's is WAYPOST_DIGEST_CRON" if one.type.name == "digest" else ""
            faults.append(
                f"{one.file}: invalid cron expression. Use five fields, for example '0 8 * * *'{also}"
            )
    return faults


async def deploy(client: PrefectClient, work_pool: str) -> dict[str, UUID]:
    """Create or update the work pool, a deployment per type, and the block type that providers are kept as;
    returns the deployments' ids.

    Schedules are set only when a deployment is new: afterwards they are edited in the Prefect UI.
    """
    await _ensure_work_pool(client, work_pool)
    await _ensure_queues(client, work_pool)
    await WaypostProvider.aregister_type_and_schema(client=client)
    return {name: await _deploy_one(client, work_pool, one) for name, one in registered().items()}


async def _ensure_work_pool(client: PrefectClient, name: str) -> None:
    try:
        await client.read_work_pool(name)
    except ObjectNotFound:
        template = ResidentWorker.get_default_base_job_template()
        pool = WorkPoolCreate(name=name, type=ResidentWorker.type, base_job_template=template)
        with suppress(ObjectAlreadyExists):  # another process was quicker
            await client.create_work_pool(pool)


async def _ensure_queues(client: PrefectClient, work_pool: str) -> None:
    """Create a queue per lane, so that every kind of worker takes urgent runs first."""
    known = {queue.name for queue in await client.read_work_queues(work_pool_name=work_pool)}
    for priority in Priority:
        if priority not in known:
            with suppress(ObjectAlreadyExists):
                await client.create_work_queue(
                    str(priority), priority=priority.rank + 1, work_pool_name=work_pool
                )


def described(work_pool: str, one: Registered) -> dict[str, Any]:
    """The fields of a type's deployment, without its schedule."""
    return {
        "description": (one.flow.description or "").strip(),
        "entrypoint": one.entrypoint,
        "tags": ["waypost", one.type.name],
        "work_pool_name": work_pool,
        "work_queue_name": str(one.type.lane),
        "parameter_openapi_schema": one.flow.parameters.model_dump_for_openapi(),
        "enforce_parameter_schema": True,
    }


async def _deploy_one(client: PrefectClient, work_pool: str, one: Registered) -> UUID:
    wanted = described(work_pool, one)
    try:
        existing = await client.read_deployment_by_name(one.deployment)
    except ObjectNotFound:
        return await client.create_deployment(
            flow_id=await client.create_flow(one.flow),
            name=registry.DEPLOYMENT,
            schedules=_schedules(one.type),
            **wanted,
        )
    await client.update_deployment(existing.id, DeploymentUpdate(**wanted))
    return existing.id


def _schedules(type: NotificationType) -> list[DeploymentScheduleCreate]:
    """Raises ValueError for an invalid cron expression, and whatever a function given as `cron` raises."""
    cron = type.schedule
    return [] if cron is None else [DeploymentScheduleCreate(schedule=CronSchedule(cron=cron), active=True)]
