"""`waypost send` watches what it sent, and says why it does not go on."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from datetime import timedelta

import pytest
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.ledger import change, lost
from support.requests import alert, order

from waypost.cli.send import tell
from waypost.config.instance import Instance, only_one, published
from waypost.config.settings import Settings, prepare_home
from waypost.deployments import file_send
from waypost.deployments.doctor import obstacles
from waypost.deployments.doctor.obstacles import away
from waypost.deployments.file_send import FileSend, submit, watch
from waypost.deployments.registry import find
from waypost.deployments.resident_worker.worker import ResidentWorker
from waypost.ledger.database.ledger import CommitLost
from waypost.ledger.intake import accept
from waypost.ledger.queue import claims
from waypost.ledger.queue.attempts import AttemptStarted
from waypost.ledger.queue.batches import BatchResult, end
from waypost.ledger.queue.holds import hold
from waypost.ledger.queue.recorder import Recorder
from waypost.model.priority import Priority
from waypost.system.clock import now

pytestmark = pytest.mark.anyio
NOWHERE = "http://127.0.0.1:9/api"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(obstacles, "STUCK_AFTER", 0.1)
    monkeypatch.setattr(obstacles, "LOOK_SECONDS", 0.05)


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
        "order-confirmation is held (wrong price). Accepted notifications are safe in the ledger; "
        "`waypost release order-confirmation` releases them"
    )
    assert (made.good, made.accepted) == (False, 1)
    assert made.summary_rows()[2:] == [("waiting for the type's release", 1)]


async def test_where_the_gateway_has_lost_the_file_it_is_said_before_prefect_is_asked(bench, monkeypatch):
    async def lost(url):
        return f"the ledger's file was replaced ({url})"

    monkeypatch.setattr(obstacles, "ledger_trouble", lost)
    trouble = await watched(bench.runtime.ledger, await sent(bench.runtime.ledger), gateway="http://gateway")
    assert trouble.endswith("of this command: the ledger's file was replaced (http://gateway)")


async def test_what_waits_for_a_digest_is_counted_as_held_though_nobody_watches(bench):
    lines = [json.dumps(alert(digest=digest)).encode() for digest in (True, False)]
    made = await submit(bench.runtime.ledger, find("alert"), lines)
    assert made.summary_rows()[2:] == [("waiting for a run", 1), ("waiting for the digest", 1)]
    assert made.summary()["states"] == {"accepted": 1, "held": 1}


async def test_without_a_worker_it_is_said_that_none_takes_it_up(bench, client, pool):
    made = await sent(bench.runtime.ledger)
    trouble = await watched(bench.runtime.ledger, made, pool)
    assert trouble.startswith(f"no worker serves the work pool {pool}. ")
    assert "Start `waypost up` or `waypost worker`" in trouble


async def test_without_prefect_it_is_said_that_prefect_does_not_answer(bench):
    ledger = bench.runtime.ledger
    made = await sent(ledger)
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        assert await watched(ledger, made) == away()
        made.trouble = ""
        await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)
        assert (await watched(ledger, made)).startswith(f"{NOWHERE} does not respond, so no run starts. ")


async def test_a_prefect_server_that_waypost_up_restarts_is_waited_for(bench, monkeypatch):
    monkeypatch.setattr(obstacles, "RESTARTED_WITHIN", 1.5)
    home, ledger = prepare_home(Settings()), bench.runtime.ledger
    here = Instance(pid=os.getpid(), api=NOWHERE, embedded=True)
    made, began = await sent(ledger), time.monotonic()
    with temporary_settings({PREFECT_API_URL: NOWHERE}), only_one(home), published(home, here):
        trouble = await watched(ledger, made)
    assert time.monotonic() - began > 1.5
    assert trouble.startswith(f"{NOWHERE} does not respond, so no run starts. ")


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
    assert made.trouble.startswith("no worker serves the work pool")


async def test_what_a_lost_worker_had_is_waited_for_a_lease_while_another_lives(bench, pool, monkeypatch):
    ledger = bench.runtime.ledger
    monkeypatch.setattr(ledger, "lease", timedelta(seconds=1.5))
    made, began = await sent(ledger), time.monotonic()
    async with ResidentWorker(pool, name="resident-here") as worker:
        await worker.sync_with_backend()
        trouble = await watched(ledger, made, pool)
    assert time.monotonic() - began > 1.5
    assert re.match(rf"no progress for \d s, although resident-here serves the work pool {pool}\. ", trouble)


async def test_of_a_type_that_prefect_does_not_know_it_is_said_at_once(bench, client, pool, monkeypatch):
    monkeypatch.setattr(obstacles, "STUCK_AFTER", 60.0)
    monkeypatch.setattr(obstacles, "NEW_AFTER", 0.05)
    one = await client.read_deployment_by_name("order-confirmation/order-confirmation")
    await client.delete_deployment(one.id)
    made = await sent(bench.runtime.ledger)
    assert (await watched(bench.runtime.ledger, made, pool)).startswith(
        "order-confirmation is not deployed: "
    )


async def test_a_paused_pool_and_a_paused_queue_are_said(bench, client, pool):
    ledger = bench.runtime.ledger
    made = await sent(ledger)
    await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)
    queues = {one.name: one.id for one in await client.read_work_queues(work_pool_name=pool)}
    await client.update_work_queue(queues["normal"], is_paused=True)
    assert await watched(ledger, made, pool) == (
        f"the work queue normal of the pool {pool} is paused in Prefect; "
        f"`prefect work-queue resume normal --pool {pool}` resumes it. "
        "Accepted notifications are safe in the ledger and go out then"
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


async def test_it_says_how_many_of_the_file_may_arrive_twice(bench, capsys):
    ledger, one = bench.runtime.ledger, find("order-confirmation")
    lines = [json.dumps(order(f"A-{n}")).encode() for n in range(2)]
    await submit(ledger, one, [json.dumps(order("B")).encode()])  # of another file
    made = await submit(ledger, one, lines)
    claim = await claims.reserve(ledger, one.type.name, Priority.NORMAL)
    taken = (await claims.take_up(ledger, one.type.name, claim.id)).notifications
    for each in taken[:2]:  # the other file's, and one of this file
        await Recorder(ledger).begin(AttemptStarted(each.id, claim.id, "email", "primary", None))
    await lost(ledger, {one.type.name: one.type})
    async for _ in watch(ledger, made, "nowhere", every=0.01):
        pass
    assert made.summary()["in_doubt"] == 1
    tell(made)
    assert "1 may be delivered twice: see `waypost list --in-doubt`" in capsys.readouterr().out
    made.in_doubt.clear()
    tell(made)
    assert "twice" not in capsys.readouterr().out


async def test_a_deferral_is_told_with_its_next_try_and_its_reason_once(bench, capsys):
    ledger = bench.runtime.ledger
    made = await sent(ledger)
    next_try = now() + timedelta(minutes=1)
    await change(ledger, state="deferred", reason="deferred at rcpt: 451", due_at=next_try)
    await watched(ledger, made)
    assert (made.good, made.summary()["next_try"]) == (True, next_try)
    tell(made)
    lines = capsys.readouterr().out.splitlines()
    assert f"{next_try:%H:%M:%S} UTC" in next(
        line for line in lines if line.startswith("1 deferred, next try")
    )
    assert "1 deferred at rcpt: 451" in lines
    assert lines[0] == "order-confirmation"


def unreadable_after(lines):
    yield from lines
    raise OSError(errno.EIO, "of a disk")


async def test_a_file_that_cannot_be_read_to_its_end_is_told_with_what_is_done(bench):
    lines = [json.dumps({**order(f"A-{n}"), "idempotency_key": f"A-{n}"}).encode() for n in range(3)]
    made = await submit(bench.runtime.ledger, find("order-confirmation"), unreadable_after(lines))
    assert (made.accepted, made.through, made.good) == (3, 3, False)
    assert made.trouble == "the file cannot be read after 3 requests (Input/output error)"
    assert made.interrupted.endswith("Send the file again: accepted lines are not sent again")


async def test_an_interruption_tells_which_lines_are_done_and_which_may_be(bench, monkeypatch):
    monkeypatch.setattr(file_send, "CLAIM_LIMIT", 2)
    right, asked = accept.accept_each, []

    async def lost_the_second_time(*arguments):
        asked.append(arguments)
        if len(asked) == 2:
            raise CommitLost("its connection was lost")
        return await right(*arguments)

    monkeypatch.setattr(accept, "accept_each", lost_the_second_time)
    made = FileSend("order-confirmation")
    lines = [json.dumps({**order(f"A-{n}"), "idempotency_key": None}).encode() for n in range(5)]
    with pytest.raises(CommitLost):
        await submit(bench.runtime.ledger, find("order-confirmation"), lines, sent=made)
    assert made.interrupted == (
        "lines 1 to 2 are done, lines after 4 are not done; lines 3 to 4 are perhaps accepted: see "
        "`waypost list`. "
        "2 accepted lines have no idempotency_key and would be sent again; send the other lines in a "
        "separate file"
    )
