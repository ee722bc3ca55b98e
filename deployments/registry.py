"""The types in flows/, found, and their deployments on a Prefect server."""

from __future__ import annotations

import importlib
import pkgutil
import re
import traceback
from collections import Counter
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
from tasks.provider_block import WaypostProvider
from waypost import NotificationType, Priority, Request

DEPLOYMENT = "waypost"
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class UnknownType(LookupError):
    """No file in flows/ declares a type of that name."""


class BrokenType(RuntimeError):
    """A file in flows/ declares no type that can be used. Says which file, and what to do."""


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
    def file(self) -> str:
        """Where it is declared: `flows/alert.py`."""
        return _file(self.entrypoint.rpartition(".")[0])

    @property
    def request(self) -> TypeAdapter[Any]:
        """Reads one request of this type from JSON or Python values."""
        return TypeAdapter(self.shape)

    @property
    def shape(self) -> type[BaseModel]:
        """The shape of its requests."""
        return self.type.request or Request[self.type.facts]


def registered() -> dict[str, Registered]:
    """Every type in flows/ that can be used, by name; `broken` has the others."""
    return _found()[0]


def broken() -> list[str]:
    """A sentence for each file in flows/ that cannot be used: which, why, and what to do. The types of the
    other files are not harmed by it."""
    return _found()[1]


def check() -> None:
    """Raise BrokenType unless every file in flows/ can be used."""
    if faults := broken():
        raise BrokenType("; ".join(faults))


def unscheduled() -> list[str]:
    """A sentence for each type with an invalid cron expression."""
    faults: list[str] = []
    for one in registered().values():
        try:
            _schedules(one.type)
        except Exception:  # a function of the file may raise anything; Prefect's own words fill a page
            also = "; the digest's is WAYPOST_DIGEST_CRON" if one.type.name == "digest" else ""
            faults.append(
                f"{one.file}: invalid cron expression. Use five fields, for example '0 8 * * *'{also}"
            )
    return faults


@cache
def _found() -> tuple[dict[str, Registered], list[str]]:
    """The usable types by name, and what is wrong with the other files."""
    made: list[Registered] = []
    faults: list[str] = []
    for module in pkgutil.iter_modules(flows.__path__, "flows."):
        try:
            if (one := _declared(module.name)) is not None:
                made.append(one)
        except BrokenType as error:
            faults.append(str(error))
    # Of two with one name nobody knows which is meant: neither is sent until somebody says.
    count = Counter(one.type.name for one in made)
    for name in (name for name in count if count[name] > 1):
        files = " and ".join(one.file for one in made if one.type.name == name)
        faults.append(f"{files} both declare the type {name!r}: rename one, its flow and its templates too")
    return {one.type.name: one for one in made if count[one.type.name] == 1}, faults


def _declared(module: str) -> Registered | None:
    """The type of a file, or None where it declares none. Raises BrokenType."""
    file = _file(module)
    try:
        loaded = importlib.import_module(module)
    except Exception as error:  # whatever a file may raise
        raise BrokenType(f"{file} cannot be loaded: {_why(error, file)}; mend it") from None
    type = getattr(loaded, "TYPE", None)
    if type is None:
        return None
    if not isinstance(type, NotificationType):
        raise BrokenType(f"the TYPE of {file} is no NotificationType: declare one, or name it otherwise")
    if not KEBAB.fullmatch(type.name):
        raise BrokenType(
            f"{file} names its type {type.name!r}: write it in kebab-case, small letters and digits with "
            "hyphens between, such as parcel-shipped"
        )
    return _with_flow(type, loaded)


def _with_flow(type: NotificationType, module: ModuleType) -> Registered:
    for name in dir(module):
        value: Any = getattr(module, name)
        if isinstance(value, Flow) and value.name == type.name:
            return Registered(type, cast("Flow[..., Any]", value), f"{module.__name__}.{name}")
    raise BrokenType(
        f"{_file(module.__name__)} declares the type {type.name!r} but has no flow of that name: "
        "put @flow(name=TYPE.name) over its flow"
    )


def _file(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _why(error: Exception, file: str) -> str:
    """What went wrong, and in which line."""
    if isinstance(error, SyntaxError):
        elsewhere = "" if (error.filename or "").endswith(file) else f" of {error.filename}"
        return f"a syntax error in line {error.lineno}{elsewhere} ({error.msg})"
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename.endswith(file)]
    said = (str(error).splitlines() or [""])[0]
    where = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{where} ({said})"


def find(name: str) -> Registered:
    """The type called `name`. Raises UnknownType listing those there are, and what could not be read."""
    try:
        return registered()[name]
    except KeyError:
        known = ", ".join(sorted(registered()))
        unread = "".join(f"; {fault}" for fault in broken())
        raise UnknownType(f"there is no type {name!r}; flows/ has {known}{unread}") from None


async def deploy(client: PrefectClient, work_pool: str) -> dict[str, UUID]:
    """Create or bring up to date the work pool, a deployment per type, and the block type that providers are
    kept as; answers the deployments' ids.

    Schedules are set only when a deployment is new: afterwards they are the Prefect UI's to edit.
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
    """A queue a lane, so that every kind of worker takes what is urgent first."""
    known = {queue.name for queue in await client.read_work_queues(work_pool_name=work_pool)}
    for priority in Priority:
        if priority not in known:
            with suppress(ObjectAlreadyExists):
                await client.create_work_queue(
                    str(priority), priority=priority.rank + 1, work_pool_name=work_pool
                )


def described(work_pool: str, one: Registered) -> dict[str, Any]:
    """What a deployment is to say of its type, beside its schedule."""
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
            name=DEPLOYMENT,
            schedules=_schedules(one.type),
            **wanted,
        )
    await client.update_deployment(existing.id, DeploymentUpdate(**wanted))
    return existing.id


def _schedules(type: NotificationType) -> list[DeploymentScheduleCreate]:
    """Raises ValueError for an invalid cron expression, and what a function given as `cron` raises."""
    cron = type.schedule
    return [] if cron is None else [DeploymentScheduleCreate(schedule=CronSchedule(cron=cron), active=True)]
