"""Whether the workers of a pool started before the file of a type was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Worker, WorkPool
from prefect.client.schemas.responses import DeploymentResponse

from waypost.deployments.dispatcher import heartbeat
from waypost.deployments.doctor.workers import last_write, lives, newer_than, written_at
from waypost.deployments.registry import Registered
from waypost.deployments.resident_worker.worker import ResidentWorker


@dataclass(frozen=True, slots=True)
class Outdated:
    """The running processes that started before the file of a type was last written. does_not_know: the type
    was deployed after their start, so they have never read it. restart: the commands that start them."""

    names: Sequence[str]
    file: str
    does_not_know: bool
    restart: str

    def __str__(self) -> str:
        who = f"the worker {' and '.join(self.names)} started before"
        told = f"{self.file} and does not know it" if self.does_not_know else f"{self.file} changed"
        return f"{who} {told}: restart {self.restart}"


async def outdated(
    client: PrefectClient,
    pool: WorkPool,
    workers: Sequence[Worker],
    one: Registered,
    deployed: DeploymentResponse | None,
) -> Outdated | None:
    """The processes that dispatch for the pool, if all of them started before the type's file was written."""
    since = await _dispatching(client, pool, workers)
    written = {one.file: last_write(one)}
    older = {name: start for name, start in since.items() if newer_than(start, written)}
    if not older or older.keys() != since.keys():
        return None
    created = deployed.created if deployed else None
    new = created is not None and all(start and created > start for start in older.values())
    return Outdated(sorted(older), one.file, new, _restart(pool))


async def _dispatching(
    client: PrefectClient, pool: WorkPool, workers: Sequence[Worker]
) -> Mapping[str, datetime | None]:
    """When each running process that starts runs for the pool began."""
    if pool.type == ResidentWorker.type:
        return {one.name: one.created for one in workers if lives(one)}
    seen = await heartbeat.last_seen(client, pool.name)
    return {seen.owner: seen.since} if seen and seen.lives else {}


async def to_restart(client: PrefectClient, work_pool: str) -> list[str]:
    """A sentence for each running process that started before a type's file was last written."""
    pool = await client.read_work_pool(work_pool)
    workers = await client.read_workers_for_work_pool(work_pool)
    written = written_at()
    since = await _dispatching(client, pool, workers)
    return [
        f"the worker {name} started before {files} changed: restart {_restart(pool)}"
        for name, start in sorted(since.items())
        if (files := newer_than(start, written))
    ]


def _restart(pool: WorkPool) -> str:
    """The commands that start a process that dispatches for the pool."""
    resident = pool.type == ResidentWorker.type
    return "`waypost up` or `waypost worker`" if resident else "`waypost dispatch`"
