"""Finds why the notifications that `waypost send` accepted do not go on, after a while without change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Worker
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import get_current_settings

from waypost.config import instance
from waypost.config.instance import to_reach_prefect
from waypost.config.settings import Settings
from waypost.deployments.doctor.gateway_readiness import ledger_trouble
from waypost.deployments.doctor.newer_types import Outdated, outdated
from waypost.deployments.doctor.workers import last_seen, lives
from waypost.deployments.paused_lanes import Stopped, stopped
from waypost.deployments.prefect_api import ANSWERS_WITHIN, api_url, prefect_client
from waypost.deployments.registry import Registered, find
from waypost.ledger import Ledger
from waypost.ledger.operations import stats
from waypost.ledger.queue import holds
from waypost.tasks.client_retries import client_retries

NEW_AFTER = 2.0  # seconds without a change until Prefect is asked whether it knows the type
STUCK_AFTER = 15.0  # seconds without a change until Prefect is asked why
LOOK_SECONDS = 5.0  # how often Prefect is asked then
RESTARTED_WITHIN = 60.0  # seconds without a change; `waypost up` restarts its Prefect server if that ends
SAFE = "Accepted notifications are safe in the ledger"


@dataclass(frozen=True, slots=True)
class Seen:
    """What Prefect shows of a work pool: the stopped lanes, and all workers that ever joined it. deployed:
    whether it knows the type. outdated: the workers, if all are older than the type's file."""

    stopped: Stopped
    workers: Sequence[Worker]
    deployed: bool = True
    outdated: Outdated | None = None


@dataclass(slots=True)
class Hindrance:
    """Finds what keeps notifications of `type` in `intakes` from going on. Call `moved` at every change.

    gateway: the URL of the gateway of a running `waypost up`, if there is one.
    """

    ledger: Ledger
    work_pool: str
    type: str
    intakes: Sequence[UUID]
    gateway: str | None = None
    _moved_at: float = field(default_factory=time.monotonic)
    _looked_at: float = 0.0
    _is_known: bool = False

    def moved(self) -> None:
        """Record that a notification has just changed."""
        self._moved_at = time.monotonic()

    async def find(self) -> str:
        """What the obstacle is and what to do; empty while the notifications may go on."""
        for held in await holds.held_types(self.ledger):
            if held.type == self.type:
                why = held.reason or "no reason given"
                release = f"`waypost release {self.type}` releases them"
                return f"{self.type} is held ({why}). {SAFE}; {release}"
        moment = time.monotonic()
        if not self._is_known and moment - self._moved_at > NEW_AFTER:
            seen = await look(self.work_pool, self.type)
            if seen is None and nothing_runs():
                return away()
            if seen is not None and (why := unknown_type(self.type, seen)):
                return why
            self._is_known = True
        if moment - self._moved_at <= STUCK_AFTER or moment - self._looked_at <= LOOK_SECONDS:
            return ""
        self._looked_at = moment
        if self.gateway and (wrong := await ledger_trouble(self.gateway)):
            return f"`waypost up` cannot use the ledger of this command: {wrong}"
        return await self._of_prefect(await look(self.work_pool, self.type))

    async def _of_prefect(self, seen: Seen | None) -> str:
        idle = time.monotonic() - self._moved_at
        if seen is None:
            return "" if _is_restarted() and idle <= RESTARTED_WITHIN else away()
        for lane in await stats.lanes_of(self.ledger, self.intakes):
            if lane in seen.stopped:
                return f"{seen.stopped[lane]}. {SAFE} and go out then"
        if await stats.in_hand(self.ledger, self.type):
            self.moved()  # some process is at work: look again later
            return ""
        if any(map(lives, seen.workers)) and idle <= STUCK_AFTER + self.ledger.lease.total_seconds():
            return ""  # the batches of a lost worker come back after their leases
        return nobody(self.work_pool, seen.workers, idle, seen.outdated)


def _is_restarted() -> bool:
    """Whether a Prefect server that does not respond is that of a running `waypost up`."""
    here = instance.find(Settings().home)
    return here is not None and here.embedded


def nothing_runs() -> bool:
    """Whether no Prefect API is set, and no `waypost up` runs with this home."""
    return instance.find(Settings().home) is None and not get_current_settings().api.url


def away() -> str:
    """The text for a Prefect API that does not respond."""
    if nothing_runs():
        return (
            f"no `waypost up` runs with this home, and no Prefect API is set, so no run starts. {SAFE} and "
            f"go out then: {to_reach_prefect(Settings().home)}"
        )
    return (
        f"{api_url()} does not respond, so no run starts. {SAFE} and go out when Prefect responds: "
        f"{to_reach_prefect(Settings().home)}. `waypost doctor` says more"
    )


def unknown_type(type: str, seen: Seen) -> str:
    """Why no worker can take up the type, and what to do; empty if a worker knows it."""
    if not seen.deployed:
        return (
            f"{type} is not deployed: its file is newer than the worker. {SAFE}. They go out after you "
            "restart `waypost up`, or run `waypost deploy` and restart the workers"
        )
    if seen.outdated and seen.outdated.does_not_know:
        return f"{seen.outdated}. {SAFE} and go out then"
    return ""


async def look(work_pool: str, type: str) -> Seen | None:
    """None when Prefect does not answer."""
    try:
        with client_retries(0):
            async with asyncio.timeout(ANSWERS_WITHIN), prefect_client() as client:
                pool = await client.read_work_pool(work_pool)
                queues = await client.read_work_queues(work_pool_name=work_pool)
                workers = await client.read_workers_for_work_pool(work_pool)
                one = find(type)
                deployed = await _deployment(client, one)
                older = await outdated(client, pool, workers, one, deployed)
                return Seen(stopped(pool, queues), workers, deployed is not None, older)
    except ObjectNotFound:
        return Seen({}, [])
    except (httpx.HTTPError, PrefectException, TimeoutError):
        return None


async def _deployment(client: PrefectClient, one: Registered) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(one.deployment)
    except ObjectNotFound:
        return None


def nobody(work_pool: str, workers: Sequence[Worker], idle: float, outdated: Outdated | None = None) -> str:
    """The text for work that no worker takes up or moves, with what Prefect shows of the workers."""
    living = [worker.name for worker in workers if lives(worker)]
    if living and outdated:
        return f"no progress for {idle:.0f} s; {outdated}. {SAFE} and go out then"
    if living:
        return (
            f"no progress for {idle:.0f} s, although {', '.join(living)} serves the work "
            f"pool {work_pool}. {SAFE}; see the worker's log and `waypost doctor`"
        )
    return (
        f"no worker serves the work pool {work_pool}{last_seen(workers)}. {SAFE} and go "
        "out when a worker runs. Start `waypost up` or `waypost worker`; `waypost "
        "doctor` says more"
    )
