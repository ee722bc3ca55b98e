"""The types in flows/, found, and their deployments on a Prefect server."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import (
    DeploymentScheduleCreate,
    DeploymentUpdate,
    WorkPoolCreate,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from pydantic import BaseModel, TypeAdapter

import flows
from deployments.worker import ResidentWorker
from waypost import NotificationType, Priority, Request

DEPLOYMENT = "waypost"


class UnknownType(LookupError):
    """No file in flows/ declares a type of that name."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A type with its flow, and where Prefect finds that flow: `flows.alert.alert`."""

    type: NotificationType
    flow: Flow[..., Any]
    entrypoint: str

    @property
    def deployment(self) -> str:
        """The deployment's name as Prefect writes it: `alert/waypost`."""
        return f"{self.flow.name}/{DEPLOYMENT}"

    @property
    def request(self) -> TypeAdapter[Any]:
        """Reads one request of this type from JSON or Python values."""
        shape: type[BaseModel] = self.type.request or Request[self.type.facts]
        return TypeAdapter(shape)


@cache
def registered() -> dict[str, Registered]:
    """Every type in flows/ by name. Raises TypeError naming the file that has no such flow."""
    found: dict[str, Registered] = {}
    for module in pkgutil.iter_modules(flows.__path__, "flows."):
        loaded = importlib.import_module(module.name)
        type = getattr(loaded, "TYPE", None)
        if isinstance(type, NotificationType):
            found[type.name] = _with_flow(type, loaded)
    return found


def _with_flow(type: NotificationType, module: ModuleType) -> Registered:
    for name in dir(module):
        value: Any = getattr(module, name)
        if isinstance(value, Flow) and value.name == type.name:
            return Registered(type, cast("Flow[..., Any]", value), f"{module.__name__}.{name}")
    raise TypeError(f"{module.__name__} declares the type {type.name!r} but has no flow of that name")


def find(name: str) -> Registered:
    """The type called `name`. Raises UnknownType listing those there are."""
    try:
        return registered()[name]
    except KeyError:
        known = ", ".join(sorted(registered()))
        raise UnknownType(f"there is no type {name!r}; flows/ has {known}") from None


async def deploy(client: PrefectClient, work_pool: str) -> dict[str, UUID]:
    """Create or bring up to date the work pool and a deployment per type; answers their ids.

    Schedules are set only when a deployment is new: afterwards they are the Prefect UI's to edit.
    """
    await _ensure_work_pool(client, work_pool)
    await _ensure_queues(client, work_pool)
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
    """A queue a lane, so that every kind of worker takes what is urgent first."""
    known = {queue.name for queue in await client.read_work_queues(work_pool_name=work_pool)}
    for priority in Priority:
        if priority not in known:
            with suppress(ObjectAlreadyExists):
                await client.create_work_queue(
                    str(priority), priority=priority.rank + 1, work_pool_name=work_pool
                )


async def _deploy_one(client: PrefectClient, work_pool: str, one: Registered) -> UUID:
    described: dict[str, Any] = {
        "description": (one.flow.description or "").strip(),
        "entrypoint": one.entrypoint,
        "tags": ["waypost", one.type.name],
        "work_pool_name": work_pool,
        "work_queue_name": str(one.type.lane),
        "parameter_openapi_schema": one.flow.parameters.model_dump_for_openapi(),
        "enforce_parameter_schema": True,
    }
    try:
        existing = await client.read_deployment_by_name(one.deployment)
    except ObjectNotFound:
        return await client.create_deployment(
            flow_id=await client.create_flow(one.flow),
            name=DEPLOYMENT,
            schedules=_schedules(one.type),
            **described,
        )
    await client.update_deployment(existing.id, DeploymentUpdate(**described))
    return existing.id


def _schedules(type: NotificationType) -> list[DeploymentScheduleCreate]:
    if type.cron is None:
        return []
    return [DeploymentScheduleCreate(schedule=CronSchedule(cron=type.cron()), active=True)]
