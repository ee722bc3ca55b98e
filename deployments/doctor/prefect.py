"""Checks of Prefect."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings

from deployments import deploy
from deployments.dispatcher import heartbeat
from deployments.doctor.finding import Finding
from deployments.doctor.lanes import lane_findings
from deployments.doctor.workers import dispatcher_finding, worker_finding, written_at
from deployments.paused_lanes import stopped
from deployments.prefect_api import ANSWERS_WITHIN, WrongApi, api_url, check
from deployments.registry import Registered, registered
from deployments.resident_worker.worker import ResidentWorker
from waypost.config.instance import unfinished
from waypost.config.settings import Settings
from waypost.net.no_answer import no_answer


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
            return [found, deployed, *await examine_pool(client, settings.work_pool, settings.templates)]
    except WrongApi as error:
        found, _, advice = str(error).rpartition(": ")
        return [Finding("prefect", ok=False, found=found, advice=advice)]
    except (httpx.HTTPError, PrefectException, TimeoutError) as error:
        advice = "start `waypost up`, or set PREFECT_API_URL to a server that is up"
        found = f"{api_url()} {no_answer(error, ANSWERS_WITHIN)}"
        return [Finding("prefect", ok=False, found=found, advice=advice)]


async def examine_deployments(client: PrefectClient, work_pool: str) -> Finding:
    faults = [
        f"{one.deployment} {fault}"
        for one in registered().values()
        if (fault := deployment_fault(await _deployment(client, one), one, work_pool))
    ]
    if faults:
        found, advice = "; ".join(faults), "run `waypost deploy`"
        return Finding("deployments", ok=False, found=found, advice=advice)
    return Finding("deployments", ok=True, found=f"{len(registered())} types")


async def _deployment(client: PrefectClient, one: Registered) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(one.deployment)
    except ObjectNotFound:
        return None


def deployment_fault(found: DeploymentResponse | None, one: Registered, work_pool: str) -> str:
    """What is wrong with the deployment of a type; empty when nothing is."""
    if found is None:
        return "is not deployed"
    if found.work_pool_name is None:
        return "has lost its work pool, which was deleted"
    if found.work_pool_name != work_pool:
        return f"is of the work pool {found.work_pool_name}, not {work_pool}"
    wanted = deploy.described(work_pool, one)
    same = all(getattr(found, name) == wanted[name] for name in ("entrypoint", "parameter_openapi_schema"))
    return "" if same else f"is older than {one.file}"


async def examine_pool(client: PrefectClient, name: str, templates: Path) -> list[Finding]:
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        found = f"there is no work pool {name}"
        return [Finding("worker", ok=False, found=found, advice="run `waypost deploy`")]
    workers = await client.read_workers_for_work_pool(name)
    written = written_at(templates)
    lanes = lane_findings(stopped(pool, await client.read_work_queues(work_pool_name=name)))
    if pool.type == ResidentWorker.type:
        return [*lanes, worker_finding(pool, workers, written)]
    return [
        *lanes,
        worker_finding(pool, workers, {}),  # such a worker reads the types anew for each run
        dispatcher_finding(pool, await heartbeat.last_seen(client, name), written),
    ]
