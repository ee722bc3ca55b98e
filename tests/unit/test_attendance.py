"""What `waypost doctor` makes of a work pool, those who work on it, and the types they know."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prefect.client.schemas.objects import Worker, WorkPool
from uuid_utils.compat import uuid7

from waypost.deployments.dispatcher.heartbeat import Presence
from waypost.deployments.doctor.workers import dispatcher_finding, worker_finding
from waypost.system.clock import now

HOUR = timedelta(hours=1)


def pool(type="resident", **more):
    return WorkPool(name="pool", type=type, default_queue_id=uuid7(), **more)


def worker(created=None, status="ONLINE", **more):
    return Worker(
        name="resident-host-1", created=created or now(), work_pool_id=uuid7(), status=status, **more
    )


def seen(seconds, **more):
    """A worker that gives a sign of life every 15 s, and gave the last so long ago."""
    at = now() - timedelta(seconds=seconds)
    return worker(last_heartbeat_time=at, heartbeat_interval_seconds=15, **more)


@pytest.mark.parametrize(
    ("pool", "online", "advice"),
    [
        (pool(), [], "start `waypost worker` (or `waypost up`)"),
        (pool("process"), [], "start a worker with `prefect worker start --pool pool`"),
        (pool(), [worker(now() - HOUR)], "restart it"),
        (pool(), [worker()], ""),
        (pool("ecs:push"), [], ""),
    ],
)
def test_who_takes_the_runs(pool, online, advice):
    found = worker_finding(pool, online, {"flows/new.py": now() - HOUR / 2})
    assert (found.ok, advice in found.advice) == (not advice, True)


@pytest.mark.parametrize(
    ("seconds", "status", "lives"),
    [(4, "ONLINE", True), (34, "ONLINE", True), (36, "ONLINE", False), (4, "OFFLINE", False)],
)
def test_a_worker_that_was_killed_is_not_there_for_long(seconds, status, lives):
    assert worker_finding(pool(), [seen(seconds, status=status)], {}).ok is lives


def test_when_the_last_sign_of_life_was_is_told():
    assert worker_finding(pool(), [seen(4)], {}).found == "resident-host-1, last seen 4 s ago"
    nobody = "no worker serves the work pool pool (type resident)"
    assert worker_finding(pool(), [seen(50)], {}).found == f"{nobody}; resident-host-1, last seen 50 s ago"
    assert worker_finding(pool(), [seen(100_000)], {}).found == nobody


def test_a_worker_older_than_a_type_is_named_with_its_file():
    found = worker_finding(
        pool(), [worker(now() - HOUR)], {"flows/new.py": now(), "flows/old.py": now() - 2 * HOUR}
    )
    assert found.found == "resident-host-1 started before flows/new.py changed and uses the old version"


@pytest.mark.parametrize(
    ("seen", "advice"),
    [
        (None, "start `waypost dispatch`"),
        ((HOUR, HOUR / 2), "start `waypost dispatch`"),
        ((HOUR, 0 * HOUR), "restart `waypost dispatch`"),
        ((0 * HOUR, 0 * HOUR), ""),
    ],
)
def test_who_starts_the_runs_where_the_workers_do_not(seen, advice):
    """seen: how long ago it was started, and seen last."""
    seen = seen and Presence("host:1", now() - seen[0], now() - seen[1])
    found = dispatcher_finding(pool("process"), seen, {"flows/new.py": now() - HOUR / 2})
    assert (found.ok, found.advice) == (not advice, advice)
