"""The checks of a pool's workers and dispatcher: whether they live, and run the present files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect.client.schemas.objects import Worker, WorkPool

from waypost.deployments.dispatcher.heartbeat import Presence
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.registry import Registered, registered
from waypost.deployments.resident_worker.worker import ResidentWorker
from waypost.system.clock import now

PREFECTS_OWN = 30  # seconds between the heartbeats of a worker that names no other interval
LATE = timedelta(seconds=5)
LATELY = timedelta(days=1)


def written_at() -> dict[str, datetime]:
    """When each type's file was last written. A worker reads it only at its start."""
    return {one.file: last_write(one) for one in registered().values()}


def last_write(one: Registered) -> datetime:
    """When the file of a type was last written."""
    return datetime.fromtimestamp(Path(inspect.getfile(one.flow.fn)).stat().st_mtime, UTC)


def worker_finding(pool: WorkPool, workers: Sequence[Worker], written: Mapping[str, datetime]) -> Finding:
    """Whether a worker takes the pool's runs. workers: all that ever did. written: when the files that
    workers read only at their start were last written."""
    if pool.is_push_pool or pool.is_managed_pool:
        return Finding("worker", ok=True, found=f"Prefect itself runs the work pool {pool.name}")
    resident = pool.type == ResidentWorker.type
    online = [one for one in workers if lives(one)]
    if not online:
        advice = (
            "start `waypost worker` (or `waypost up`)"
            if resident
            else f"start a worker with `prefect worker start --pool {pool.name}`"
        )
        found = f"no worker serves the work pool {pool.name} (type {pool.type}){last_seen(workers)}"
        return Finding("worker", ok=False, found=found, advice=advice)
    for one in online:
        if newer := newer_than(one.created, written):
            found = f"{one.name} started before {newer} changed and uses the old version"
            return Finding(
                "worker",
                ok=False,
                found=found,
                advice="restart it: `waypost worker`, or `waypost up`, which also deploys",
            )
    return Finding("worker", ok=True, found="; ".join(map(_seen, online)))


def lives(worker: Worker) -> bool:
    """Whether the last heartbeat is no older than two intervals. Prefect calls the worker online for three,
    and for up to half a minute more until it looks."""
    if worker.last_heartbeat_time is None:
        return worker.status == "ONLINE"
    interval = timedelta(seconds=worker.heartbeat_interval_seconds or PREFECTS_OWN)
    return worker.status == "ONLINE" and now() - worker.last_heartbeat_time < 2 * interval + LATE


def _seen(worker: Worker) -> str:
    if worker.last_heartbeat_time is None:
        return worker.name
    ago = max((now() - worker.last_heartbeat_time).total_seconds(), 0)
    return f"{worker.name}, last seen {ago:.0f} s ago"


def last_seen(workers: Sequence[Worker]) -> str:
    """The worker seen last, if within a day: a killed worker does not sign off."""
    known = [(one.last_heartbeat_time, _seen(one)) for one in workers if one.last_heartbeat_time]
    at, seen = max(known, default=(None, ""))
    return f"; {seen}" if at and now() - at < LATELY else ""


def dispatcher_finding(pool: WorkPool, seen: Presence | None, written: Mapping[str, datetime]) -> Finding:
    """Whether a dispatcher starts runs for a pool whose workers do not do that themselves."""
    if seen is None or not seen.lives:
        found = f"no dispatcher for the work pool {pool.name}: {pool.type} workers do not dispatch"
        return Finding("dispatcher", ok=False, found=found, advice="start `waypost dispatch`")
    if newer := newer_than(seen.since, written):
        found = f"{seen.owner} started before {newer} changed and uses the old version"
        return Finding("dispatcher", ok=False, found=found, advice="restart `waypost dispatch`")
    return Finding("dispatcher", ok=True, found=seen.owner)


def newer_than(started: datetime | None, written: Mapping[str, datetime]) -> str:
    """The files written after `started`, as one text; empty when there are none."""
    return " and ".join(sorted(file for file, at in written.items() if started and at > started))
