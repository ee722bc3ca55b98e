"""Deployments on a real server: their names, what an upgrade takes over, pauses, and the form of retries."""

from __future__ import annotations

import logging

import httpx
import pytest
from prefect import flow
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled
from support.ledger import change, rows
from support.requests import order

from waypost.deployments import deploy, known_deployments, retry_flow
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.pauses import Pauses
from waypost.deployments.dispatcher.prefect_runs import PrefectRuns
from waypost.deployments.registry import find, registered
from waypost.ledger.database.tables import notifications
from waypost.ledger.intake import accept
from waypost.ledger.queue import claims
from waypost.ledger.queue.holds import held_types, hold, release
from waypost.model.priority import Priority

pytestmark = pytest.mark.anyio

NAME = "order-confirmation"


async def deployment(client, name=NAME):
    return await client.read_deployment_by_name(f"{name}/{name}")


async def accepted(bench, *requests, type=NAME):
    one = find(type)
    read = [one.request.validate_python(request) for request in requests]
    return await accept.accept(bench.runtime.ledger, one.type, read)


async def test_each_is_named_for_its_type_and_says_what_it_does(client, pool):
    found = {one.name: one for one in await client.read_deployments()}
    assert found.keys() == {*registered(), "waypost-retry", "waypost-hold"}
    one = found[NAME]
    assert (one.tags, one.version) == (["waypost"], "0.1.0")
    for words in ("email, then sms", "24 hours", "`waypost hold order-confirmation`", '"currency": "EUR"'):
        assert words in one.description, words
    there = await client.read_work_pool(pool)
    assert there.description
    assert there.base_job_template["variables"]["properties"] == {}
    assert all(one.description for one in await client.read_work_queues(work_pool_name=pool))


async def test_what_a_person_set_in_prefect_stays(client, pool):
    one = await deployment(client)
    await client.update_deployment(one.id, DeploymentUpdate(tags=["waypost", "mine"]))
    await deploy.deploy(client, pool)
    assert (await deployment(client)).tags == ["waypost", "mine"]


async def test_again_it_changes_what_differs_and_nothing_else(client, pool, monkeypatch):
    """Pages of one: the many deployments of a team are all found."""
    monkeypatch.setattr(known_deployments, "PAGE", 1)
    before = {one.id: one.updated for one in await client.read_deployments()}
    one = await deployment(client)
    await client.update_deployment(one.id, DeploymentUpdate(description="of before"))
    await deploy.deploy(client, pool)
    after = {one.id: one.updated for one in await client.read_deployments()}
    assert [id for id in after if after[id] != before.get(id)] == [one.id]
    assert (await deployment(client)).description == one.description


async def former(client, work_pool, **more):
    """The deployment as version 0.1.0 made it."""
    one = find(NAME)
    wanted = deploy.described(work_pool, one) | {"tags": ["waypost", NAME, "mine"]} | more
    flow_id = await client.create_flow(one.flow)
    return await client.create_deployment(flow_id=flow_id, name="waypost", **wanted)


async def test_an_upgrade_takes_over_what_a_person_set_and_loses_no_run(bench, client, undeployed):
    await deploy._ensure_work_pool(client, undeployed)
    await deploy._ensure_queues(client, undeployed)
    schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron="5 4 * * *"), active=False)
    old = await former(client, undeployed, paused=True, schedules=[schedule], concurrency_limit=3)
    run = await client.create_flow_run_from_deployment(old, parameters={"batch": None})
    await deploy.deploy(client, undeployed)
    new = await deployment(client)
    assert (new.paused, new.tags, new.global_concurrency_limit.limit) == (True, ["waypost", "mine"], 3)
    assert [(one.schedule.cron, one.active) for one in new.schedules] == [("5 4 * * *", False)]
    assert (await client.read_deployment(old)).schedules == []
    looking = PrefectRuns(client, undeployed, PrefectOutage())
    pauses = Pauses(bench.runtime.ledger)
    await looking.look_at_deployments(pauses)
    assert (await client.read_flow_run(run.id)).deployment_id == old, "the run is still open"
    assert [one.type for one in await held_types(bench.runtime.ledger)] == [NAME]
    await client.set_flow_run_state(run.id, Cancelled(), force=True)
    await looking.look_at_deployments(pauses)
    with pytest.raises(ObjectNotFound):
        await client.read_deployment(old)
    await deploy.deploy(client, undeployed)
    assert [one.schedule.cron for one in (await deployment(client)).schedules] == ["5 4 * * *"]


async def test_an_upgrade_after_prefects_own_deploy_takes_over_too(client, undeployed):
    await deploy._ensure_work_pool(client, undeployed)
    await deploy._ensure_queues(client, undeployed)

    def daily(hour, **more):
        return DeploymentScheduleCreate(schedule=CronSchedule(cron=f"5 {hour} * * *"), **more)

    kept = [daily(4, active=False), daily(5, parameters={"batch": None})]
    old = await former(client, undeployed, paused=True, schedules=kept, concurrency_limit=3)
    id = await deployed_by_prefect(client, undeployed, schedules=[daily(4), daily(6)], tags=["theirs"])
    for _ in range(2):
        await deploy.deploy(client, undeployed)
        new = await deployment(client)
        assert (new.id, new.paused, new.global_concurrency_limit.limit) == (id, True, 3)
        assert sorted(new.tags) == ["mine", "theirs", "waypost"]
        crons = sorted((one.schedule.cron, one.active) for one in new.schedules)
        assert crons == [("5 4 * * *", False), ("5 5 * * *", True), ("5 6 * * *", True)]
    assert (await client.read_deployment(old)).schedules == []
    await client.resume_deployment(id)
    await deploy.deploy(client, undeployed)
    assert not (await deployment(client)).paused, "it is taken over once"


@pytest.fixture
def looking(bench, client, pool):
    """Looks at the deployments, as every worker does again and again."""
    runs = PrefectRuns(client, pool, PrefectOutage())
    return lambda: runs.look_at_deployments(Pauses(bench.runtime.ledger))


async def test_a_pause_holds_the_type_and_a_resume_releases_it(bench, client, looking, caplog):
    ledger = bench.runtime.ledger
    await looking()
    await accepted(bench, order("P-1"))
    one = await deployment(client)
    await client.pause_deployment(one.id)
    await looking()
    [held] = await held_types(ledger)
    assert (held.type, held.reason) == (NAME, "paused in Prefect")
    assert await claims.reserve(ledger, NAME, Priority.NORMAL) is None
    shown = await deployment(client)
    assert shown.tags == ["waypost", "held"]
    assert shown.description.startswith("**Held: `paused in Prefect`.**")
    before = shown.updated
    await looking()
    assert (await deployment(client)).updated == before, "nothing is written twice"
    await client.resume_deployment(one.id)
    await looking()
    assert await held_types(ledger) == []
    shown = await deployment(client)
    assert (shown.tags, shown.description) == (["waypost"], one.description)
    assert await claims.reserve(ledger, NAME, Priority.NORMAL) is not None
    assert "is held: its deployment was paused in Prefect" in caplog.text


async def test_a_hold_pauses_the_deployment_and_a_release_resumes_it(bench, client, looking):
    ledger = bench.runtime.ledger
    await hold(ledger, NAME, "wrong `price` of ada@a.example")
    await looking()
    shown = await deployment(client)
    assert (shown.paused, shown.tags) == (True, ["waypost", "held"])
    assert "`wrong 'price' of a***a@a.example`" in shown.description
    await hold(ledger, NAME, "another reason")
    await deploy.deploy(client, shown.work_pool_name)
    await looking()
    assert "another reason" in (await deployment(client)).description
    await release(ledger, NAME)
    await looking()
    shown = await deployment(client)
    assert (shown.paused, shown.tags) == (False, ["waypost"])


async def deployed_by_prefect(client, work_pool, **more):
    """Deploy as `prefect deploy` does: the deployment keeps its id and loses what is not given."""
    one = find(NAME)
    wanted = deploy.described(work_pool, one) | {"tags": [], "description": "theirs"} | more
    flow_id = await client.create_flow(one.flow)
    return await client.create_deployment(flow_id=flow_id, name=NAME, paused=False, **wanted)


@pytest.mark.parametrize("by", ["hold", "pause"])
async def test_a_deploy_with_prefects_own_command_releases_no_held_type(bench, client, looking, pool, by):
    ledger, one = bench.runtime.ledger, await deployment(client)
    await looking()
    if by == "hold":
        await hold(ledger, NAME, "wrong price")
    else:
        await client.pause_deployment(one.id)
    await looking()
    assert await deployed_by_prefect(client, pool) == one.id
    assert not (await deployment(client)).paused
    await looking()
    assert [one.type for one in await held_types(ledger)] == [NAME]
    shown = await deployment(client)
    assert (shown.paused, shown.tags) == (True, ["held"])
    assert shown.description.startswith("**Held")
    await client.resume_deployment(one.id)
    await looking()
    assert await held_types(ledger) == [], "a person's resume still releases it"


@pytest.mark.parametrize("first", [hold, release])
async def test_a_change_while_prefect_is_slow_is_not_undone(bench, client, looking, monkeypatch, first):
    ledger, update = bench.runtime.ledger, client.update_deployment
    second = release if first is hold else hold
    await looking()
    if first is release:
        await hold(ledger, NAME)
        await looking()

    async def slow(*given):
        await update(*given)
        await second(ledger, NAME)

    await first(ledger, NAME)
    with monkeypatch.context() as patched:
        patched.setattr(client, "update_deployment", slow)
        await looking()
    assert (await deployment(client)).paused is (first is hold), "Prefect shows the first change"
    await looking()
    assert [one.type for one in await held_types(ledger)] == [NAME] * (second is hold)
    shown = await deployment(client)
    assert (shown.paused, "held" in shown.tags) == (second is hold, second is hold)


async def test_the_side_that_was_changed_while_no_worker_looked_wins(bench, client, looking):
    ledger, one = bench.runtime.ledger, await deployment(client)
    await looking()
    await hold(ledger, NAME)
    await release(ledger, NAME)
    await client.pause_deployment(one.id)
    await looking()
    assert len(await held_types(ledger)) == 1
    await client.resume_deployment(one.id)
    await client.pause_deployment(one.id)
    await release(ledger, NAME)
    await looking()
    assert not (await deployment(client)).paused
    assert await held_types(ledger) == []


async def test_a_prefect_that_is_away_or_refuses_keeps_no_hold_from_its_type(
    bench, client, looking, monkeypatch, caplog
):
    ledger, one = bench.runtime.ledger, await deployment(client)
    await looking()

    async def refused(*_):
        response = httpx.Response(409, request=httpx.Request("PATCH", "http://prefect"))
        raise httpx.HTTPStatusError("refused", request=response.request, response=response)

    await client.pause_deployment(one.id)
    with monkeypatch.context() as patched:
        patched.setattr(client, "update_deployment", refused)
        await looking()
        assert len(await held_types(ledger)) == 1
        assert "Prefect does not show whether order-confirmation is held" in caplog.text
        await release(ledger, NAME)
        await looking()
        assert await held_types(ledger) == [], "the release stands"
    await looking()
    assert not (await deployment(client)).paused


async def test_a_deployment_that_was_made_anew_shows_the_hold(bench, client, looking, pool):
    ledger = bench.runtime.ledger
    await looking()
    await hold(ledger, NAME, "wrong price")
    await looking()
    await client.delete_deployment((await deployment(client)).id)
    await deploy.deploy(client, pool)
    await looking()
    assert (await deployment(client)).paused
    assert len(await held_types(ledger)) == 1


async def test_deployments_of_other_flows_are_left_alone_whatever_their_names(bench, client, looking, pool):
    @flow(name="billing")
    def billing():
        pass

    flow_id = await client.create_flow(billing)
    namesake = await client.create_deployment(flow_id=flow_id, name=NAME, paused=True, tags=["theirs"])
    tags = ["theirs", "replaced"]
    foreign = await client.create_deployment(flow_id=flow_id, name="waypost", tags=tags)
    own_flow = await client.create_flow(find(NAME).flow)
    crossed = await client.create_deployment(flow_id=own_flow, name="alert", paused=True, tags=["theirs"])
    await client.create_work_pool(WorkPoolCreate(name="other", type="process"))
    elsewhere = await client.create_deployment(
        flow_id=own_flow, name="waypost", tags=tags, work_pool_name="other"
    )
    mine = await deployment(client)
    await deploy.deploy(client, pool)
    await looking()
    assert await held_types(bench.runtime.ledger) == []
    assert (await deployment(client)).id == mine.id
    for id, paused, tags in (
        (namesake, True, ["theirs"]),
        (crossed, True, ["theirs"]),
        (foreign, False, ["theirs", "replaced"]),
        (elsewhere, False, ["theirs", "replaced"]),
    ):
        found = await client.read_deployment(id)
        assert (found.paused, found.tags) == (paused, tags)


async def failed(bench, count):
    """Notifications that failed."""
    for number in range(count):
        await accepted(bench, order(f"F-{number}"))
    await change(bench.runtime.ledger, notifications, state="failed", reason="550 no `such` user")


async def retried(**given):
    state = await retry_flow.retry(return_state=True, **given)
    return state.name, state.message


async def test_a_retry_is_tried_dry_first_and_then_bounded(bench, client, pool, caplog):
    await failed(bench, 3)
    caplog.set_level(logging.INFO)
    assert await retried() == ("DryRun", "3 of 3 would be retried; switch Dry run off to retry")
    assert {row.state for row in await rows(bench.runtime.ledger)} == {"failed"}
    done = await retried(type=NAME, reason="550", limit=2, dry_run=False)
    assert done == ("Completed", "2 retried (2 failed); 1 more can be retried: run it again")
    assert sorted(row.state for row in await rows(bench.runtime.ledger)) == ["accepted", "accepted", "failed"]
    assert await retried(state="expired", dry_run=False) == (
        "Completed",
        "nothing was retried: no notification matches",
    )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "nosuch"}, "type"),
        ({"since": "soon"}, "since"),
        ({"state": "sent"}, "state"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_a_wrong_field_of_the_form_is_named(bench, pool, client, given, field):
    one = await deployment(client, "waypost-retry")
    if field in ("state", "limit", "type"):
        with pytest.raises(httpx.HTTPStatusError, match=field):
            await client.create_flow_run_from_deployment(one.id, parameters=given)
    else:
        with pytest.raises(Exception, match=field):
            await retry_flow.retry(**given)
