"""`waypost doctor` against a real Prefect server: deployments, pools, workers and dispatchers."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import timedelta

import pytest
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from support.ledger import change
from support.requests import order
from uuid_utils.compat import uuid7

from waypost.config import instance
from waypost.config.settings import Settings
from waypost.deployments import deploy, registry
from waypost.deployments.dispatcher import heartbeat
from waypost.deployments.doctor.ledger import ledger_findings
from waypost.deployments.doctor.prefect import examine_deployments, examine_pool
from waypost.deployments.doctor.providers import provider_findings
from waypost.deployments.registry import find
from waypost.deployments.resident_worker.worker import ResidentWorker
from waypost.ledger.database.tables import batches
from waypost.ledger.intake import accept
from waypost.ledger.queue import claims
from waypost.ledger.queue.attempts import AttemptStarted
from waypost.ledger.queue.batches import owner
from waypost.ledger.records import process_reports
from waypost.model.priority import Priority
from waypost.system.clock import now

pytestmark = pytest.mark.anyio


async def test_what_was_just_deployed_is_well(client, pool):
    found = await examine_deployments(client, pool)
    assert (found.ok, found.found) == (True, f"{len(registry.registered())} types")


async def test_deployments_whose_pool_was_deleted_are_told(client, pool):
    await client.delete_work_pool(pool)
    found = await examine_deployments(client, pool)
    assert not found.ok
    assert "alert/alert has no work pool: the pool was deleted" in found.found
    [missing] = await examine_pool(client, pool)
    assert missing.found == f"the work pool {pool} does not exist"
    await deploy.deploy(client, pool)
    assert (await examine_deployments(client, pool)).ok


async def test_deployments_of_another_pool_or_of_before_are_told(client, pool):
    other = await examine_deployments(client, "elsewhere")
    assert f"alert/alert uses the work pool {pool} instead of elsewhere" in other.found
    deployed = await client.read_deployment_by_name("alert/alert")
    schema = {"type": "object", "properties": {"requests": {"type": "array"}}}
    await client.update_deployment(deployed.id, DeploymentUpdate(parameter_openapi_schema=schema))
    older = await examine_deployments(client, pool)
    assert (older.found, older.advice) == (
        "alert/alert is older than flows/alert.py",
        "run `waypost deploy`",
    )


async def test_a_resident_pool_wants_a_worker(client, pool):
    [nobody] = await examine_pool(client, pool)
    assert "`waypost worker`" in nobody.advice
    async with ResidentWorker(pool, name="resident-here") as worker:
        await worker.sync_with_backend()
        [somebody] = await examine_pool(client, pool)
    assert (somebody.ok, somebody.found.partition(", last seen")[0]) == (True, "resident-here")


async def test_a_lane_that_is_stopped_in_prefect_is_told(client, pool, caplog):
    queues = {one.name: one.id for one in await client.read_work_queues(work_pool_name=pool)}
    async with ResidentWorker(pool, name="resident-here") as worker:
        await client.update_work_queue(queues["urgent"], is_paused=True)
        await worker.sync_with_backend()
        await worker.sync_with_backend()
        [lane, somebody] = await examine_pool(client, pool)
        await client.update_work_queue(queues["urgent"], is_paused=False)
        await worker.sync_with_backend()
        assert len(await examine_pool(client, pool)) == 1
    stopped = f"the work queue urgent of the pool {pool} is paused in Prefect"
    resume = f"`prefect work-queue resume urgent --pool {pool}` resumes it"
    assert (lane.ok, lane.found, lane.advice, somebody.ok) == (False, stopped, resume, True)
    said = [
        record.message
        for record in caplog.records
        if pool in record.message and "work queue" in record.message
    ]
    assert said == [f"{stopped}; {resume}; accepted notifications wait", f"resolved: {stopped}"]


async def test_a_pool_of_another_kind_wants_a_dispatcher_too(client):
    name = f"Process pool {uuid7().hex}"
    await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    worker, dispatcher = await examine_pool(client, name)
    assert "prefect worker start" in worker.advice
    assert dispatcher.advice == "start `waypost dispatch`"
    async with heartbeat.announce(name):
        while not (dispatcher := (await examine_pool(client, name))[1]).ok:
            pass
    assert dispatcher.found == owner()
    assert await heartbeat.last_seen(client, name) is None, "it has said farewell"


async def told(bench, what):
    """What the doctor tells of the bench's ledger under this name."""
    return [one for one in await ledger_findings(bench.runtime.settings) if one.what == what]


async def test_work_that_nobody_takes_back_is_told_with_who_had_it(bench):
    ledger, one = bench.runtime.ledger, find("order-confirmation")
    await accept.accept(ledger, one.type, [one.request.validate_python(order("A-1"))])
    await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)

    async def lost():
        return [(one.ok, one.found) for one in await told(bench, "lost work")]

    assert await lost() == []
    soon = now() + ledger.lease / 3
    await change(ledger, batches, owner="host:1", leased_until=soon)
    silent = f"held by a process that sends no heartbeat: host:1, lease until {soon:%H:%M:%S} UTC"
    assert await lost() == [(True, silent)]
    await change(ledger, batches, owner="host:1", leased_until=now() - timedelta(minutes=1))
    [(ok, said)] = await lost()
    assert "expired leases not reclaimed: host:1 since 20" in said
    assert not ok


async def test_a_run_that_writes_no_outcome_is_told_though_it_lives(bench):
    ledger, one = bench.runtime.ledger, find("order-confirmation")
    await accept.accept(ledger, one.type, [one.request.validate_python(order("A-1"))])
    batch = (await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)).id
    taken = await claims.take_up(ledger, "order-confirmation", batch)
    begin = AttemptStarted(taken.notifications[0].id, batch, "email", "primary", None)

    async def silent():
        return [one.found for one in await told(bench, "silent runs")]

    assert await silent() == []
    await change(ledger, batches, taken_at=now() - timedelta(minutes=6))
    [said] = await silent()
    assert f"order-confirmation batch {batch} since 20" in said
    await bench.runtime.recorder.begin(begin)
    assert await silent() == []


async def test_what_nobody_starts_a_run_for_is_told_once_it_is_overdue(bench):
    ledger, one = bench.runtime.ledger, find("order-confirmation")
    await accept.accept(ledger, one.type, [one.request.validate_python(order("A-1"))])

    async def overdue():
        return [one.found for one in await told(bench, "overdue")]

    assert await overdue() == []
    await change(ledger, due_at=now() - timedelta(minutes=5))
    [said] = await overdue()
    assert "order-confirmation since" in said
    await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)
    assert await overdue() == []


async def test_of_each_provider_is_told_what_was_really_tried(tmp_path):
    hook = {
        "url": "webhook+https://shop.example/hooks",
        "secrets": [f"whsec_{b64encode(bytes(24)).decode()}"],
    }
    texts = {"url": "twilio://AC0123456789abcdef0123456789abcdef:token@+12025550100/{phone}", "kind": "sms"}
    named = {"shop": hook, "texts": texts, "copies": {"url": f"maildir://{tmp_path}/mails"}}
    found = {one.what: one for one in await provider_findings(Settings(providers=named))}
    assert all(one.ok for one in found.values())
    for name, said in (("texts", "the URL is valid"), ("shop", "the URL and the secrets are valid")):
        assert found[name].found.startswith(said)
        assert found[name].found.endswith("not tested further, because that would send a message")
    assert found["copies"].found == "accepts messages"


async def test_a_provider_that_does_not_work_for_the_workers_is_told_with_its_time(bench):
    async def down():
        return await told(bench, "outage")

    assert await down() == []
    report = {
        "provider": "smtp",
        "client": "",
        "since": now(),
        "until": None,
        "why": "no answer from a@b.example",
    }
    await process_reports.write(bench.runtime.ledger, process_reports.About.CIRCUITS, "host:1", [report])
    await process_reports.write(bench.runtime.ledger, process_reports.About.CIRCUITS, "host:2", [report])
    [said] = await down()
    assert said.level == "note"
    since = f"{report['since']:%Y-%m-%d %H:%M:%S} UTC"
    assert said.found == f"smtp does not work for the workers since {since}: no answer from ***@b.example"


async def test_settings_that_only_the_terminal_of_up_has_are_told(tmp_path):
    async def tell(settings):
        return {one.what: one for one in await provider_findings(settings)}

    here = instance.Instance(pid=os.getpid(), api="http://127.0.0.1:9/api", embedded=True)
    settings = Settings(home=tmp_path)
    assert (await tell(settings))["providers"].found.startswith("no provider for address-change, alert")
    with instance.only_one(tmp_path), instance.published(tmp_path, here):
        found = (await tell(settings))["providers"]
    assert found.found.startswith("this terminal's settings name no provider for address-change, alert")
    assert (
        found.advice == f"`waypost up` (pid {os.getpid()}) runs with settings of its own: put them into .env"
    )
    box = instance.Mailbox(
        folder=tmp_path, smtp_url="smtp://127.0.0.1:9", texts_url="json://127.0.0.1:9/{phone}"
    )
    here = here.model_copy(update={"mailbox": box})
    with instance.only_one(tmp_path), instance.published(tmp_path, here):
        found = await tell(instance.pointed_at(settings, here.model_copy(update={"embedded": False})))
    assert found["apprise"].found.startswith("(the development mailbox) the URL is valid")
