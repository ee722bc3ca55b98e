"""The dashboard, the events and the automations, on a real Prefect server."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, BlockDocumentCreate, WorkPoolCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.dispatcher import accepted
from support.http_faults import refusing
from support.ledger import change, rows
from support.requests import order
from support.webhook_receiver import Endpoint
from uuid_utils.compat import uuid7

from waypost.deployments.automations.create import NoSuchBlock, automations, create
from waypost.deployments.dashboard import dashboard as module
from waypost.deployments.dashboard import traffic
from waypost.deployments.dashboard.dashboard import Dashboard
from waypost.deployments.processes.flush import flush_prefect
from waypost.deployments.registry import find
from waypost.flows.order_confirmation import order_confirmation
from waypost.ledger.database.tables import installation, notifications
from waypost.ledger.operations import retry_cancel
from waypost.ledger.operations.search import Filter
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy.circuit_breaker import FAILURES
from waypost.rendering import live_templates as templates_module
from waypost.rendering.live_templates import Templates
from waypost.system.clock import now
from waypost.tasks import events
from waypost.tasks.providers import events as circuit_events

pytestmark = pytest.mark.anyio
TYPE = find("order-confirmation").type
UNKNOWN = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, enhanced="5.1.1", words="<ada@a.example>: unknown")


@pytest.fixture
async def pool(client):
    name = f"pool-{uuid7().hex}"
    await client.create_work_pool(WorkPoolCreate(name=name, type="resident"))
    return name


def dashboard_of(bench, client, pool):
    own = bench.runtime
    types = {TYPE.name: TYPE}
    return Dashboard(own.ledger, own.providers, own.templates.faults, types, client, pool)


@pytest.fixture
def dashboard(bench, client, pool):
    return dashboard_of(bench, client, pool)


async def artifacts(client, key):
    return await client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))


async def send(*requests):
    return await order_confirmation(requests=list(requests), return_state=True)


async def seen(client, event, batch):
    """The payloads of the events of that name and batch, once there are any."""
    resource = EventResourceFilter(id=[f"waypost.type.{TYPE.name}"])
    wanted = EventFilter(event=EventNameFilter(name=[event]), resource=resource)
    for _ in range(100):
        await flush_prefect()
        body = {"filter": wanted.model_dump(mode="json")}
        found = (await client.request("POST", "/events/filter", json=body)).json()["events"]
        if ours := [one["payload"] for one in found if one["payload"]["batch"] == batch]:
            return ours
        await asyncio.sleep(0.1)
    raise AssertionError(f"no {event}")


async def test_the_dashboard_is_one_artifact_that_changes_in_place(bench, client, dashboard, pool):
    await dashboard.look()
    [first] = await artifacts(client, pool)
    assert first.description.startswith("All is well")
    await send(order("1"), order("2"))
    await dashboard.look()
    [second] = await artifacts(client, pool)
    assert second.id == first.id
    assert "| order-confirmation | 2 | 2 | 0 | 0 |" in second.data
    assert "/runs/flow-run/" in second.data


async def test_nothing_is_written_while_nothing_changes(bench, client, dashboard, pool, monkeypatch):
    monkeypatch.setattr(traffic, "SECONDS_A_LOOK", 60.0)  # the first look counts the whole day
    await dashboard.look()
    [before] = await artifacts(client, pool)
    await dashboard.look()
    assert (await artifacts(client, pool))[0].updated == before.updated
    monkeypatch.setattr(module, "WRITTEN_ANEW", timedelta())
    await asyncio.sleep(1.1)  # the artifact shows whole seconds
    await dashboard.look()
    assert (await artifacts(client, pool))[0].updated > before.updated


async def test_an_artifact_that_was_deleted_comes_back_and_versions_are_cleaned_up(
    bench, client, dashboard, pool
):
    for _ in range(3):
        await client.create_artifact(ArtifactCreate(key=pool, type="markdown", data="another process"))
    await dashboard.look()
    [one] = await artifacts(client, pool)
    await client.delete_artifact(one.id)
    await send(order("3"))
    await dashboard.look()
    assert len(await artifacts(client, pool)) == 1


async def test_the_failures_that_were_deleted_come_back_although_they_are_the_same(
    bench, client, dashboard, monkeypatch
):
    bench.primary.answer = bench.backup.answer = bench.sms.answer = lambda message: UNKNOWN
    await send(order("4"))
    await dashboard.look()
    [one] = await artifacts(client, f"{TYPE.name}-failures")
    await client.delete_artifact(one.id)
    monkeypatch.setattr(module, "WRITTEN_ANEW", timedelta())
    await dashboard.look()
    [again] = await artifacts(client, one.key)
    assert again.data


async def test_one_of_two_processes_writes(bench, client, dashboard, pool, monkeypatch):
    await dashboard.look()
    other = dashboard_of(bench, client, pool)
    monkeypatch.setattr(module, "owner", lambda: "other:1")
    await other.look()
    assert len(await artifacts(client, pool)) == 1
    monkeypatch.undo()
    await dashboard.close()
    monkeypatch.setattr(module, "owner", lambda: "other:1")
    await send(order("4"))
    await other.look()
    [one] = await artifacts(client, pool)
    assert "| order-confirmation | 1 | 1 |" in one.data


async def test_the_circuits_of_every_process_are_shown(bench, client, dashboard, pool, monkeypatch):
    bench.primary.down = bench.backup.down = True
    for state in (bench.runtime.providers.state("primary"), bench.runtime.providers.state("backup")):
        for _ in range(3):
            state.record_failure("host could not be reached")
    other = dashboard_of(bench, client, pool)
    await dashboard.look()
    monkeypatch.setattr(module, "owner", lambda: "other:1")
    await other.look()
    [one] = await artifacts(client, pool)
    assert "does not work" in one.description
    assert "`host could not be reached`" in one.data
    reports = [
        row for row in await rows(bench.runtime.ledger, installation) if row.name.startswith("circuits")
    ]
    assert len(reports) == 2


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ("{{ order_id", "unexpected end of template"),
        ("{{ oder_id }}", "{{ oder_id }} is unknown; is it order_id?"),
    ],
)
async def test_a_template_fault_of_any_process_is_shown_until_it_is_corrected(
    bench, client, dashboard, pool, monkeypatch, tmp_path, broken, fault
):
    folder = tmp_path / "templates"
    shutil.copytree(bench.runtime.settings.template_folders[-1] / TYPE.name, folder / TYPE.name)
    monkeypatch.setattr(templates_module, "LOOKS_EVERY", 0.0)
    templates = Templates((folder, *bench.runtime.settings.template_folders))
    monkeypatch.setattr(bench.runtime, "templates", templates)
    await send(order("1"))
    subject = folder / TYPE.name / "subject.txt"
    good = subject.read_text()
    subject.write_text(broken)
    await send(order("2"))
    other = dashboard_of(bench, client, pool)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(module, "owner", lambda: "other:1")
        await other.look()
        await other.close()
    monkeypatch.setattr(bench.runtime, "templates", Templates(folder))  # this process has met no fault
    await dashboard.look()
    [one] = await artifacts(client, pool)
    assert one.description == f"the changed templates of {TYPE.name} are not in use"
    assert f"`templates/{TYPE.name}/subject.txt, line 1: {fault}" in one.data
    assert "The templates before stay in use" in one.data

    subject.write_text(good + "\n")
    monkeypatch.setattr(bench.runtime, "templates", templates)
    await send(order("3"))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(module, "owner", lambda: "other:1")
        await other.look()
        await other.close()
    await dashboard.look()
    [one] = await artifacts(client, pool)
    assert one.description.startswith("All is well")


async def test_failures_stay_in_their_artifact_until_they_are_dealt_with(bench, client, dashboard, pool):
    bench.primary.answer = bench.backup.answer = bench.sms.answer = lambda _: UNKNOWN
    await send(order("5", email="ada@a.example"))
    bench.primary.answer = lambda message: Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)
    await send(order("6"))
    await dashboard.look()
    [table] = await artifacts(client, f"{TYPE.name}-failures")
    [row] = json.loads(table.data) if isinstance(table.data, str) else table.data
    assert row["State"] == "failed"
    assert "550 5.1.1" in row["Detail"]
    assert "ada@" not in str(row)
    assert "/runs/flow-run/" in row["When"]
    [page] = await artifacts(client, pool)
    assert page.data.count(f"](/artifacts/artifact/{table.id})") == 2, "its trouble and its type link to it"
    await retry_cancel.retry(bench.runtime.ledger, Filter(type=TYPE.name), {TYPE.name: TYPE.deadline})
    await dashboard.look()
    assert await artifacts(client, f"{TYPE.name}-failures") == []


async def test_the_page_is_shown_although_prefect_refuses_the_failures(bench, client, pool, server):
    bench.primary.answer = bench.backup.answer = bench.sms.answer = lambda _: UNKNOWN
    await send(order("5"))
    key = f"{TYPE.name}-failures"

    def failures(request):
        return request.startswith(b"POST /api/artifacts/ ") and f'"key":"{key}"'.encode() in request

    async with refusing(server.api.removesuffix("/api"), failures) as (url, front):
        with temporary_settings({PREFECT_API_URL: f"{url}/api"}):
            async with get_client() as through:
                with pytest.raises(httpx.HTTPStatusError, match="422"):
                    await dashboard_of(bench, through, pool).look()
    assert front.refused
    [page] = await artifacts(client, pool)
    assert f"](/artifacts/key/{key})" in page.data


async def test_a_batch_tells_its_numbers_and_each_reason_of_its_failures_without_addresses(bench, client):
    bench.primary.answer = bench.backup.answer = bench.sms.answer = lambda message: (
        UNKNOWN if "bad" in message.address else Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)
    )
    requests = [order("7"), *(order(f"{n}", email=f"bad{n}@a.example") for n in range(8, 11))]
    state = await send(*requests)
    batch = str((await state.aresult(raise_on_failure=False)).report.batch)
    ended = await seen(client, "waypost.batch.ended", batch)
    assert [(one["sent"], one["failed"], one["total"]) for one in ended] == [(1, 3, 4)]
    failed = await seen(client, "waypost.notification.failed", batch)
    assert [one["count"] for one in failed] == [3]
    assert "550 5.1.1" in failed[0]["reason"]
    assert "bad8@" not in str(failed)


async def test_a_backlog_and_missed_deadlines_are_told_once(bench, client, dashboard, monkeypatch):
    told = []
    for name in ("backlog_began", "backlog_ended", "deadline_missed"):
        monkeypatch.setattr(events, name, lambda *given, name=name: told.append((name, *given[:2])))
    await dashboard.look()
    ledger = bench.runtime.ledger
    await accepted(bench, TYPE.name, order("11"), order("12"))
    await change(ledger, notifications, due_at=now() - timedelta(minutes=3))
    await dashboard.look()
    await dashboard.look()
    assert told == [("backlog_began", TYPE.name, 2)]
    await change(
        ledger, notifications, state="expired", reason="late", finished_at=now() - timedelta(seconds=4)
    )
    dashboard._announcements._missed_until = now() - timedelta(minutes=1)
    await dashboard.look()
    await dashboard.look()
    assert told[1:] == [("backlog_ended", TYPE.name, told[1][2]), ("deadline_missed", TYPE.name, 2)]


@pytest.fixture
async def block(client):
    """A notification block, and the server that it posts to."""
    async with Endpoint().listening() as endpoint:
        type = await client.read_block_type_by_slug("custom-webhook")
        schema = await client.get_most_recent_block_schema_for_block_type(type.id)
        form = {"name": "on-call", "url": endpoint.url, "json_data": {"told": "{{subject}}; {{body}}"}}
        made = await client.create_block_document(
            BlockDocumentCreate(
                name=f"b{uuid7().hex}", data=form, block_schema_id=schema.id, block_type_id=type.id
            )
        )
        yield SimpleNamespace(id=made.id, name=f"custom-webhook/{made.name}", endpoint=endpoint)


@pytest.mark.long
async def test_each_automation_fires_for_its_event_and_notifies(bench, client, block):
    made = []
    for one in automations(block.id):
        soon = one.trigger.model_copy(update={"within": timedelta(seconds=10)})
        made.append(await client.create_automation(one.model_copy(update={"trigger": soon})))
    await asyncio.sleep(2)  # the server's triggers learn of new automations by a message
    state = bench.runtime.providers.state("primary")
    state.on_change = circuit_events.tell
    for _ in range(FAILURES):
        state.record_failure("it could not be reached")
    events.backlog_began(TYPE.name, 40, now().isoformat())
    events.deadline_missed(TYPE.name, 2, "the deadline passed before it was sent")
    bench.primary.answer = bench.backup.answer = bench.sms.answer = lambda _: UNKNOWN
    bench.runtime.providers._states.clear()
    await send(order("13"))
    await flush_prefect()
    told = [post.told["told"] for post in await block.endpoint.arrived(4, 60)]
    for id in made:
        await client.delete_automation(id)
    for words in ("mail failed: order-confirmation", "backlog: order-confirmation", "deadline missed: order"):
        assert [one for one in told if words in one], words
    [down] = [one for one in told if "provider down" in one]
    assert "it could not be reached" in down
    assert not [one for one in told if "ada@" in one]


async def test_automations_that_are_there_stay_as_they_are(client, block):
    created = await create(client, block.name)
    assert len(created) == 4
    assert await create(client) == {}
    for id in created.values():
        found = await client.read_automation(id)
        assert found.actions[0].block_document_id == block.id
        await client.delete_automation(id)
    with pytest.raises(NoSuchBlock, match="slack-webhook/on-call"):
        await create(client, "slack-webhook/none")
