"""Checks of Prefect."""

from __future__ import annotations

import asyncio

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings

from waypost.config.instance import to_reach_prefect, unfinished
from waypost.config.settings import Settings
from waypost.deployments import deploy
from waypost.deployments.dispatcher import heartbeat
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.doctor.lanes import lane_findings
from waypost.deployments.doctor.prefect_database import database_finding
from waypost.deployments.doctor.workers import dispatcher_finding, worker_finding, written_at
from waypost.deployments.form_schema import BATCH
from waypost.deployments.known_deployments import KnownDeployments
from waypost.deployments.paused_lanes import stopped
from waypost.deployments.prefect_api import ANSWERS_WITHIN, WrongApi, api_url, check
from waypost.deployments.registry import Registered, present, registered
from waypost.deployments.resident_worker.worker import ResidentWorker
from waypost.net.no_answer import no_answer
from waypost.system.plurals import counted


async def prefect_findings(settings: Settings) -> list[Finding]:
    if not get_current_settings().api.url:
        advice = "start `waypost up`, or set PREFECT_API_URL to your server"
        found = "; ".join(filter(None, ("no Prefect API is set", unfinished(settings.home))))
        return [Finding("prefect", ok=False, found=found, advice=advice)]
    try:
        async with asyncio.timeout(ANSWERS_WITHIN), get_client() as client:
            await check(client)
            found = Finding("prefect", ok=True, found=api_url())
            deployed = await examine_deployments(client, settings.work_pool)
            return [
                found,
                *await database_finding(client),
                deployed,
                *await examine_pool(client, settings.work_pool),
            ]
    except WrongApi as error:
        found, _, advice = str(error).rpartition(": ")
        return [Finding("prefect", ok=False, found=found, advice=advice)]
    except (httpx.HTTPError, PrefectException, TimeoutError) as error:
        advice = to_reach_prefect(settings.home)
        found = f"{api_url()} {no_answer(error, ANSWERS_WITHIN)}"
        return [Finding("prefect", ok=False, found=found, advice=advice)]


async def examine_deployments(client: PrefectClient, work_pool: str) -> Finding:
    types = registered()
    known = await KnownDeployments().read(client, (one.deployment for one in types.values()))
    found_by_type = {name: known.get(one.deployment) for name, one in types.items()}
    faults = [
        f"{one.deployment} {fault}"
        for name, one in types.items()
        if (fault := deployment_fault(found_by_type[name], one, work_pool))
    ]
    if faults:
        found, advice = "; ".join(faults), "run `waypost deploy`"
        return Finding("deployments", ok=False, found=found, advice=advice)
    plain = sorted(name for name, one in found_by_type.items() if one and _has_prefects_form(one))
    if plain:
        found = f"{counted(len(types), 'type')}; {', '.join(plain)} with Prefect's own form"
        return Finding("deployments", ok=True, found=found, advice="run `waypost deploy` for better forms")
    return Finding("deployments", ok=True, found=counted(len(types), "type"))


def deployment_fault(found: DeploymentResponse | None, one: Registered, work_pool: str) -> str:
    """What is wrong with the deployment of a type; empty when nothing is."""
    if found is None:
        return "is not deployed"
    if found.work_pool_name is None:
        return "has no work pool: the pool was deleted"
    if found.work_pool_name != work_pool:
        return f"uses the work pool {found.work_pool_name} instead of {work_pool}"
    wanted = deploy.described(work_pool, one)
    same_flow = present(found.entrypoint or "") == wanted["entrypoint"]
    same_form = found.parameter_openapi_schema == wanted["parameter_openapi_schema"]
    return "" if same_flow and (same_form or _has_prefects_form(found)) else f"is older than {one.file}"


def _has_prefects_form(found: DeploymentResponse) -> bool:
    """Whether `prefect deploy` or `flow.deploy` made the deployment: Waypost's form hides `batch`."""
    return BATCH in (found.parameter_openapi_schema or {}).get("properties", {})


async def examine_pool(client: PrefectClient, name: str) -> list[Finding]:
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        found = f"the work pool {name} does not exist"
        return [Finding("worker", ok=False, found=found, advice="run `waypost deploy`")]
    workers = await client.read_workers_for_work_pool(name)
    written = written_at()
    lanes = lane_findings(stopped(pool, await client.read_work_queues(work_pool_name=name)))
    if pool.type == ResidentWorker.type:
        return [*lanes, worker_finding(pool, workers, written)]
    return [
        *lanes,
        worker_finding(pool, workers, {}),  # such a worker reads the types anew for each run
        dispatcher_finding(pool, await heartbeat.last_seen(client, name), written),
    ]
