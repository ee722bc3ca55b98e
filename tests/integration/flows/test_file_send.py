"""`waypost send` watches what it sent, and says why it does not go on."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta

import pytest
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.requests import alert, order
from uuid_utils.compat import uuid7

from deployments import deploy, registry
from deployments.doctor import obstacles
from deployments.doctor.obstacles import AWAY
from deployments.file_send import submit, watch
from deployments.registry import find
from deployments.resident_worker.worker import ResidentWorker
from waypost.ledger.queue import claims
from waypost.ledger.queue.batches import BatchResult, end
from waypost.ledger.queue.holds import hold
from waypost.model.priority import Priority

pytestmark = pytest.mark.anyio
NOWHERE = "http://127.0.0.1:9/api"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(obstacles, "STUCK_AFTER", 0.1)
    monkeypatch.setattr(obstacles, "LOOK_SECONDS", 0.05)


@pytest.fixture
async def pool(client, monkeypatch):
    """A work pool of the test's own, with its queues."""
    name = f"pool-{uuid7().hex}"
    monkeypatch.setattr(registry, "DEPLOYMENT", name)
    await deploy.deploy(client, name)
    return name


async def sent(ledger):
    line = json.dumps(order("A-1")).encode()
    return await submit(ledger, find("order-confirmation"), [line])


async def watched(ledger, made, pool="nowhere", gateway=None):
    async for _ in watch(ledger, made, pool, every=0.01, gateway=gateway):
        pass
    return made.trouble


async def test_of_a_held_type_it_is_said_at_once(bench, monkeypatch):
    ledger = bench.runtime.ledger
    monkeypatch.setattr(obstacles, "STUCK_AFTER", 60.0)
    await hold(ledger, "order-confirmation", "wrong price")
    made, began = await sent(ledger), time.monotonic()
    trouble = await watched(ledger, made)
    assert time.monotonic() - began < 5
    assert trouble == (
        "order-confirmation is held (wrong price). What was accepted is safe in the ledger, and "
        "`waypost release order-confirmation` lets it go out"
    )
    assert (made.good, made.accepted) == (False, 1)
    assert made.summary_rows()[2:] == [("waiting for its type's release", 1)]


async def test_where_the_gateway_has_lost_the_file_it_is_said_before_prefect_is_asked(bench, monkeypatch):
    async def lost(url):
        return f"the ledger's file was replaced ({url})"

    monkeypatch.setattr(obstacles, "ledger_trouble", lost)
    trouble = await watched(bench.runtime.ledger, await sent(bench.runtime.ledger), gateway="http://gateway")
    assert trouble.endswith("wrote to: the ledger's file was replaced (http://gateway)")


async def test_what_waits_for_a_digest_is_counted_as_held_though_nobody_watches(bench):
    lines = [json.dumps(alert(digest=digest)).encode() for digest in (True, False)]
    made = await submit(bench.runtime.ledger, find("alert"), lines)
    assert made.summary_rows()[2:] == [("waiting for a run", 1), ("held", 1)]
    assert made.summary()["states"] == {"accepted": 1, "held": 1}


async def test_without_a_worker_it_is_said_that_none_takes_it_up(bench, client, pool):
    made = await sent(bench.runtime.ledger)
    trouble = await watched(bench.runtime.ledger, made, pool)
    assert trouble.startswith(f"no worker takes it up: none gives a sign of life to the pool {pool}. ")
    assert "start `waypost up` or `waypost worker`" in trouble


async def test_without_prefect_it_is_said_that_prefect_does_not_answer(bench):
    ledger = bench.runtime.ledger
    made = await sent(ledger)
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        assert await watched(ledger, made) == AWAY
        made.trouble = ""
        await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)
        assert await watched(ledger, made) == AWAY


async def test_what_a_process_has_in_hand_is_waited_for(bench, pool):
    ledger = bench.runtime.ledger
    made = await sent(ledger)
    claim = await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)
    looks = watch(ledger, made, pool, every=0.01)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        await anext(looks)
    assert made.trouble == ""
    await end(ledger, claim.id, BatchResult.LOST)
    async for _ in looks:
        pass
    assert made.trouble.startswith("no worker takes it up")


async def test_what_a_lost_worker_had_is_waited_for_a_lease_while_another_lives(bench, pool, monkeypatch):
    ledger = bench.runtime.ledger
    monkeypatch.setattr(ledger, "lease", timedelta(seconds=1.5))
    made, began = await sent(ledger), time.monotonic()
    async with ResidentWorker(pool, name="resident-here") as worker:
        await worker.sync_with_backend()
        trouble = await watched(ledger, made, pool)
    assert time.monotonic() - began > 1.5
    assert re.match(rf"nothing has moved for \d s, though resident-here works on the pool {pool}\. ", trouble)


async def test_a_paused_pool_and_a_paused_queue_are_said(bench, client, pool):
    ledger = bench.runtime.ledger
    made = await sent(ledger)
    await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)
    queues = {one.name: one.id for one in await client.read_work_queues(work_pool_name=pool)}
    await client.update_work_queue(queues["normal"], is_paused=True)
    assert await watched(ledger, made, pool) == (
        f"the work queue normal of the pool {pool} is paused in Prefect; "
        f"`prefect work-queue resume normal --pool {pool}` resumes it. "
        "What was accepted is safe in the ledger, and goes out then"
    )
    made.trouble = ""
    await client.update_work_pool(pool, WorkPoolUpdate(is_paused=True))
    assert (await watched(ledger, made, pool)).startswith(f"the work pool {pool} is paused in Prefect; ")


async def test_a_line_that_would_never_be_sent_is_named_and_the_others_go(bench):
    asked = [
        {"expires_at": "2020-01-01T00:00:00Z"}, {}, {"channels": ["pigeon"]},
        {"recipient": {"id": "nobody"}}, {"channels": ["sms"]},
    ]  # fmt: skip
    lines = [json.dumps({**order(f"A-{n}"), **more}).encode() for n, more in enumerate(asked)]
    made = await submit(bench.runtime.ledger, find("order-confirmation"), lines)
    refused = [(one.line, one.reason.partition(":")[0]) for one in made.rejections]
    assert (refused, made.accepted) == (
        [
            (1, "expires_at"),
            (3, "channels.0"),
            (4, "recipient"),
            (5, "recipient.phone"),
        ],
        1,
    )
