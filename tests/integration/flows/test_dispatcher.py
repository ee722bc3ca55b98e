"""The dispatcher: what is due becomes few runs, what is urgent first."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from prefect import task
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName, FlowRunFilterTags
from prefect.states import Cancelled, Crashed, Pending, Running
from sqlalchemy import make_url
from support.dispatcher import accepted, claimed_runs
from support.ledger import change, rows
from support.requests import alert, order
from support.task_runs import ended_task_run

from waypost.deployments.dispatcher import reconciler
from waypost.deployments.dispatcher.backoff import BatchBackoffs
from waypost.deployments.dispatcher.in_flight import LASTING_SECONDS
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.pauses import Pauses
from waypost.deployments.dispatcher.prefect_runs import PrefectRuns
from waypost.deployments.processes import prefect_server
from waypost.deployments.registry import find
from waypost.ledger.database.tables import batches
from waypost.ledger.queue import batches as ledger_batches
from waypost.ledger.queue import claims
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.claims import Claim
from waypost.model.priority import Priority

pytestmark = pytest.mark.anyio


async def test_what_is_due_becomes_one_run_of_its_lane_that_is_told_nothing_but_its_batch(
    bench, client, dispatching
):
    await accepted(bench, "order-confirmation", *(order(str(n)) for n in range(3)))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
    [run] = await claimed_runs(bench, client)
    [batch] = await rows(bench.runtime.ledger, batches)
    assert run.parameters == {"batch": str(batch.id)}
    assert run.work_queue_name == "normal"
    assert not any(tag.startswith("attempt:") for tag in run.tags), "the first attempt needs no tag"
    assert "waypost" in run.tags
    assert run.name == "3 order-confirmation"


async def test_what_comes_before_a_run_begins_goes_along_with_it(bench, client, dispatching):
    ledger = bench.runtime.ledger
    async with dispatching() as dispatcher:
        for number in range(4):
            await accepted(bench, "order-confirmation", order(str(number)))
            await dispatcher.tick()
        [batch] = await rows(ledger, batches)
        taken = await claims.take_up(ledger, batch.type, batch.id, limit=claims.CLAIM_LIMIT)
    assert len(taken.notifications) == 4
    assert [row.size for row in await rows(ledger, batches)] == [4]


async def test_what_comes_while_a_run_sends_is_the_next_batch_and_a_lasting_run_gets_another_beside_it(
    bench, client, dispatching, steady
):
    ledger = bench.runtime.ledger

    async def sizes():
        return [row.size for row in await rows(ledger, batches)]

    async with dispatching() as dispatcher:

        async def one_more():
            await accepted(bench, "order-confirmation", order(str(uuid4())))
            await dispatcher.tick()

        await one_more()
        [first] = await rows(ledger, batches)
        await claims.take_up(ledger, first.type, first.id)
        await one_more()
        await one_more()
        assert await sizes() == [1], "it is sending, and quick"
        steady.time += LASTING_SECONDS
        await dispatcher.tick()
        assert await sizes() == [1, 2], "it lasts"
        second = (await rows(ledger, batches))[1]
        await claims.take_up(ledger, second.type, second.id)
        await one_more()
        steady.time += LASTING_SECONDS
        await dispatcher.tick()
        assert await sizes() == [1, 2], "two runs of a lane at once"
        await ledger_batches.end(ledger, first.id, BatchResult.DONE)
        await dispatcher.tick()
    assert await sizes() == [1, 2, 2], "what came meanwhile, and what the ended one had not sent"


class Hands:
    """A worker that notes what it was given."""

    name = "hands"

    def __init__(self, free: bool = True) -> None:
        self.free = free
        self.given = []

    def may_take(self, lane):
        return self.free

    def take(self, run, lane):
        self.given.append(run.id)


async def test_a_run_is_created_in_the_hands_of_the_worker_beside_it_if_that_is_free(client, dispatching):
    hands = Hands()
    runs = PrefectRuns(client, dispatching.pool, PrefectOutage(), hands)
    claim = Claim(uuid4(), "alert", Priority.URGENT, 1, 1)
    id = await runs.start(claim)
    assert (await client.read_flow_run(id)).state.is_pending()
    assert hands.given == [id]
    offered = await client.get_scheduled_flow_runs_for_work_pool(dispatching.pool)
    assert id not in {one.flow_run.id for one in offered}, "no other is offered it"
    hands.free = False
    other = await runs.start(Claim(uuid4(), "alert", Priority.URGENT, 1, 1))
    assert (await client.read_flow_run(other)).state.is_scheduled()
    hands.free = True
    assert await runs.start(claim) == id, "its answer was lost: asked for again, it is the same"
    assert hands.given == [id, id]


async def test_a_run_whose_answer_was_lost_is_offered_to_others_when_there_is_no_room_any_more(
    client, dispatching
):
    hands = Hands()
    runs = PrefectRuns(client, dispatching.pool, PrefectOutage(), hands)
    claim = Claim(uuid4(), "alert", Priority.URGENT, 1, 1)
    id = await runs.start(claim)
    hands.free = False
    assert await runs.start(claim) == id
    assert (await client.read_flow_run(id)).state.is_scheduled()


async def spoiled(client, dispatching, type):
    """Somebody edits the job variables of a pool and of a deployment: Prefect takes no run after it."""
    template = {
        "job_configuration": {"env": "{{ env }}"},
        "variables": {"properties": {"env": {"type": "object"}}},
    }
    await client.update_work_pool(dispatching.pool, WorkPoolUpdate(base_job_template=template))
    deployment = await client.read_deployment_by_name(find(type).deployment)
    await client.update_deployment(deployment.id, DeploymentUpdate(job_variables={"env": 5}))


async def test_a_deployment_of_which_prefect_takes_no_run_keeps_no_other_type_waiting(
    bench, client, dispatching, steady
):
    await spoiled(client, dispatching, "order-confirmation")
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        for _ in range(20):
            await dispatcher.tick()
            steady.time += 1
        tried = len(await rows(bench.runtime.ledger, batches))
        assert 3 < tried < 10, "again after growing waits"
        assert not dispatcher.outage.is_down
        await accepted(bench, "alert", alert())
        await dispatcher.tick()
    assert {run.work_queue_name for run in await claimed_runs(bench, client)} == {"urgent"}


async def test_what_is_urgent_goes_directly_when_prefect_takes_no_run_of_it(bench, client, dispatching):
    await spoiled(client, dispatching, "alert")
    await accepted(bench, "alert", alert())
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        for flight in dispatcher._in_flight.values():
            await flight.direct
    assert len(bench.primary.sent) == 1


async def test_a_batch_that_was_filled_up_lets_the_next_run_start(bench, client, dispatching):
    ledger = bench.runtime.ledger
    async with dispatching() as dispatcher:
        small = replace(find("order-confirmation").type, batch_size=3)
        dispatcher.types = {**dispatcher.types, small.name: small}
        await accepted(bench, "order-confirmation", order("first"))
        await dispatcher.tick()
        [first] = await rows(ledger, batches)
        await accepted(bench, "order-confirmation", *(order(str(n)) for n in range(4)))
        await claims.take_up(ledger, first.type, first.id, limit=3)
        await dispatcher.tick()
    assert [row.size for row in await rows(ledger, batches)] == [3, 2]


async def test_a_run_carries_no_more_than_a_batch_of_its_type(bench, client, dispatching):
    async with dispatching() as dispatcher:
        small = replace(find("order-confirmation").type, batch_size=3)
        dispatcher.types = {**dispatcher.types, small.name: small}
        await accepted(bench, "order-confirmation", *(order(str(n)) for n in range(7)))
        await dispatcher.tick()
        await dispatcher.tick()
    assert [row.size for row in await rows(bench.runtime.ledger, batches)] == [3, 3]


async def test_what_a_concurrency_limit_governs_is_left_to_prefect(bench, client, dispatching):
    hands = Hands()
    runs = PrefectRuns(client, dispatching.pool, PrefectOutage(), hands)
    deployment = await client.read_deployment_by_name(find("alert").deployment)
    await client.update_deployment(deployment.id, DeploymentUpdate(concurrency_limit=1))
    await runs.look_at_deployments(Pauses(bench.runtime.ledger))
    id = await runs.start(Claim(uuid4(), "alert", Priority.URGENT, 1, 1))
    assert (await client.read_flow_run(id)).state.is_scheduled()
    assert hands.given == []
    await client.update_deployment(deployment.id, DeploymentUpdate(concurrency_limit=None))
    await runs.look_at_deployments(Pauses(bench.runtime.ledger))
    await runs.start(Claim(uuid4(), "alert", Priority.URGENT, 1, 1))
    assert len(hands.given) == 1


async def test_a_lost_run_of_which_the_ledger_never_heard_is_shown_as_crashed(
    bench, client, dispatching, monkeypatch
):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    await accepted(bench, "alert", alert())
    ledger = bench.runtime.ledger
    claim = await claims.reserve(ledger, "alert", Priority.URGENT)
    runs = PrefectRuns(client, dispatching.pool, PrefectOutage(), Hands())
    id = await runs.start(claim)  # and its process dies
    await ledger_batches.end(ledger, claim.id, BatchResult.LOST)
    await reconciler.reconcile(ledger, runs)
    assert (await client.read_flow_run(id)).state.is_crashed()


@pytest.mark.parametrize("again", [True, False])
async def test_a_run_that_was_started_again_is_shown_as_its_last_try_ended(
    bench, client, dispatching, monkeypatch, again
):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    await accepted(bench, "order-confirmation", order("1"), order("2"))
    ledger = bench.runtime.ledger
    runs = PrefectRuns(client, dispatching.pool, PrefectOutage(), Hands())
    first = await claims.reserve(ledger, "order-confirmation", Priority.NORMAL, limit=1)
    run = await runs.start(first)
    await claims.take_up(ledger, first.type, first.id)
    await ledger_batches.end(ledger, first.id, BatchResult.DONE, "1 failed")
    await change(ledger, batches, batches.c.id == first.id, flow_run_id=run)
    await client.set_flow_run_state(run, Running(), force=True)
    if again:
        second = await claims.reserve(ledger, "order-confirmation", Priority.NORMAL, limit=1)
        await claims.take_up(ledger, second.type, second.id)
        await change(ledger, batches, batches.c.id == second.id, flow_run_id=run)
        await ledger_batches.end(ledger, second.id, BatchResult.LOST)
    await reconciler.reconcile(ledger, runs)
    shown = (await client.read_flow_run(run)).state
    assert shown.is_crashed() if again else shown.is_running()


async def test_a_run_that_was_deleted_keeps_the_truth_of_no_other_back(
    bench, client, dispatching, monkeypatch
):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    ledger = bench.runtime.ledger
    await accepted(bench, "alert", alert())
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        direct_one, other = await rows(ledger, batches)
        await ledger_batches.end(ledger, direct_one.id, BatchResult.DIRECT, "1 sent")
        await ledger_batches.end(ledger, other.id, BatchResult.LOST)
        await client.delete_flow_run(direct_one.flow_run_id)
        assert await reconciler.reconcile(ledger, dispatcher.runs) == 2
        assert await reconciler.reconcile(ledger, dispatcher.runs) == 0
    assert (await client.read_flow_run(other.flow_run_id)).state.is_crashed()
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=["without-prefect"]), name=FlowRunFilterName(like_="alert")
    )
    assert any(
        run.parameters == {"batch": str(direct_one.id)}
        for run in await client.read_flow_runs(flow_run_filter=wanted)
    )


async def test_a_type_that_is_gone_keeps_the_truth_of_no_other_back(bench, client, dispatching, monkeypatch):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    ledger = bench.runtime.ledger
    await accepted(bench, "alert", alert())
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        gone, other = await rows(ledger, batches)
        await client.delete_flow_run(gone.flow_run_id)
        await change(ledger, batches, batches.c.id == gone.id, type="gone")
        await ledger_batches.end(ledger, gone.id, BatchResult.DIRECT, "1 sent")
        await ledger_batches.end(ledger, other.id, BatchResult.LOST)
        assert await reconciler.reconcile(ledger, dispatcher.runs) == 2
    assert (await client.read_flow_run(other.flow_run_id)).state.is_crashed()


async def test_a_work_pool_deleted_under_the_deployments_is_made_again(bench, client, dispatching):
    await client.delete_work_pool(dispatching.pool)
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
    [run] = await claimed_runs(bench, client)
    assert run.work_pool_name == dispatching.pool


async def test_the_last_slot_is_kept_for_what_is_urgent(bench, client, dispatching):
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching(slots=2) as dispatcher:
        await dispatcher.tick()
        await accepted(bench, "order-confirmation", order("2"))
        await dispatcher.tick()
        await accepted(bench, "alert", alert())
        await dispatcher.tick()
    queues = [run.work_queue_name for run in await claimed_runs(bench, client)]
    assert queues == ["normal", "urgent"]


async def test_a_deferred_one_comes_back_as_a_run_tagged_with_its_attempt(bench, client, dispatching):
    await accepted(bench, "order-confirmation", order("1"))
    await change(bench.runtime.ledger, state="deferred", tries=2)
    async with dispatching() as dispatcher:
        await dispatcher.tick()
    [run] = await claimed_runs(bench, client)
    assert "attempt:3" in run.tags


@pytest.mark.parametrize(
    ("ended", "holds", "endings"),
    [
        (Crashed, True, ["lost", None]),
        (Cancelled, True, ["cancelled"]),
        (Cancelled, False, ["lost", None]),
    ],
)
async def test_the_work_of_a_run_that_ended_before_it_began_goes_out_or_is_held(
    bench, client, dispatching, steady, ended, holds, endings
):
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        dispatcher.holds_cancelled = holds
        await dispatcher.tick()
        [run] = await claimed_runs(bench, client)
        await client.set_flow_run_state(run.id, ended(), force=True)
        steady.time += 6
        await dispatcher.tick()
    assert [row.ending for row in await rows(bench.runtime.ledger, batches)] == endings
    [one] = await rows(bench.runtime.ledger)
    assert (one.state == "held") == (endings == ["cancelled"])


async def test_a_run_whose_worker_died_before_taking_its_batch_up_is_overdue(
    bench, client, dispatching, steady
):
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        [run] = await claimed_runs(bench, client)
        await client.set_flow_run_state(run.id, Running(), force=True)
        for _ in range(8):
            steady.time += 6
            await dispatcher.tick()
    endings = [row.ending for row in await rows(bench.runtime.ledger, batches)]
    assert endings == ["lost", None]


@task
def a_step():
    """Stands for a step of a run."""


async def test_a_lost_run_and_its_steps_are_shown_as_crashed_and_others_as_they_ended(
    bench, client, dispatching, monkeypatch
):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    await accepted(bench, "order-confirmation", order("1"))
    await accepted(bench, "alert", alert())
    await accepted(bench, "order-confirmation", {**order("2"), "priority": "bulk"})
    ledger = bench.runtime.ledger
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        for batch, ending in zip(
            await rows(ledger, batches),
            (BatchResult.LOST, BatchResult.DONE, BatchResult.CANCELLED),
            strict=True,
        ):
            await client.set_flow_run_state(batch.flow_run_id, Running(), force=True)
            await client.create_task_run(a_step, batch.flow_run_id, "0", name="deliver", state=Running())
            await claims.take_up(ledger, batch.type, batch.id)
            await ledger_batches.end(ledger, batch.id, ending, "1 sent")
        assert await reconciler.reconcile(ledger, dispatcher.runs) == 3
        assert await reconciler.reconcile(ledger, dispatcher.runs) == 0, "told once"
    runs = await claimed_runs(bench, client)
    assert [run.state.type.value for run in runs] == ["CRASHED", "COMPLETED", "CANCELLED"]
    assert "lost" in runs[0].state.message
    assert "1 sent" in runs[1].state.message
    assert "held" in runs[2].state.message
    for run in runs:
        step = await ended_task_run(client, run.id, "deliver")
        assert (step.state.name, step.state.message) == ("Crashed", run.state.message)


async def test_a_prefect_that_lost_its_database_gets_its_deployments_again(bench, client, dispatching):
    deployment = await client.read_deployment_by_name(find("order-confirmation").deployment)
    await client.delete_deployment(deployment.id)
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
    [run] = await claimed_runs(bench, client)
    assert run.deployment_id != deployment.id


async def test_while_its_providers_do_not_work_a_lane_has_a_run_at_a_time_and_few(
    bench, client, dispatching, steady
):
    ledger = bench.runtime.ledger
    async with dispatching(seconds_apart=12.0) as dispatcher:
        for second in range(30):
            await accepted(bench, "order-confirmation", order(f"apart-{second}"))
            await dispatcher.tick()
            for batch in await rows(ledger, batches):
                await claims.take_up(ledger, batch.type, batch.id)
                await ledger_batches.end(ledger, batch.id, BatchResult.DONE)
            steady.time += 1
    assert len(await rows(ledger, batches)) == 3


async def lost_run(bench, client, runs, type, request):
    """A run that takes its slot and begins, and whose worker is lost then."""
    ledger, its = bench.runtime.ledger, find(type).type
    await accepted(bench, type, request)
    claim = await claims.reserve(ledger, type, its.lane)
    run = await runs.start(claim)
    await client.set_flow_run_state(run, Pending())
    await client.set_flow_run_state(run, Running())
    await claims.take_up(ledger, type, claim.id, flow_run_id=run)
    await ledger_batches.end(ledger, claim.id, BatchResult.LOST)
    return run


async def limited(client, limit):
    deployment = await client.read_deployment_by_name(find("alert").deployment)
    await client.update_deployment(deployment.id, DeploymentUpdate(concurrency_limit=limit))


async def test_a_run_whose_concurrency_limit_was_removed_meanwhile_is_shown_as_it_ended(
    bench, client, dispatching, monkeypatch
):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    await limited(client, 1)
    runs = PrefectRuns(client, dispatching.pool, outage := PrefectOutage())
    run = await lost_run(bench, client, runs, "alert", alert())
    await limited(client, None)
    assert await reconciler.reconcile(bench.runtime.ledger, runs) == 1
    assert (await client.read_flow_run(run)).state.is_crashed()
    assert not outage.is_down


@pytest.fixture
def corrected_despite(bench, client, dispatching, monkeypatch, caplog, steady):
    """Check that a fault at one lost run keeps no other back, is named once, and ends once Prefect works."""
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    ledger, backoffs = bench.runtime.ledger, BatchBackoffs(steady)
    runs = PrefectRuns(client, dispatching.pool, outage := PrefectOutage())

    async def check(fault):
        broken = await lost_run(bench, client, runs, "alert", alert())
        other = await lost_run(bench, client, runs, "order-confirmation", order("1"))
        with fault(broken):
            for _ in range(4):
                await reconciler.reconcile(ledger, runs, backoffs)
                steady.time += 0.2
            assert (await client.read_flow_run(other)).state.is_crashed()
            assert not outage.is_down
            assert len([one for one in caplog.messages if str(broken) in one]) == 1
        steady.time += 60
        await reconciler.reconcile(ledger, runs, backoffs)
        assert (await client.read_flow_run(broken)).state.is_crashed()
        assert await reconciler.reconcile(ledger, runs, backoffs) == 0

    return check


@pytest.mark.parametrize(
    "write",
    [
        "INSERT ON flow_run_state WHEN replace(NEW.flow_run_id, '-', '') = '{hex}'",  # Prefect says ABORT
        "UPDATE ON concurrency_limit_v2",  # Prefect answers 500
    ],
)
async def test_a_run_at_which_prefect_fails_keeps_no_other_back_and_is_named_once(
    client, server, caplog, corrected_despite, write
):
    await limited(client, 1)
    await corrected_despite(lambda broken: failing(server, write.format(hex=broken.hex)))
    assert "does not respond" not in caplog.text


async def test_a_run_that_prefect_cannot_give_keeps_no_other_from_being_corrected_and_is_named_once(
    server, corrected_despite
):
    await corrected_despite(lambda broken: unreadable(server, broken))


async def test_a_run_that_prefect_gives_again_and_shows_as_ended_is_done_with(
    bench, client, dispatching, monkeypatch, server, steady
):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    ledger, backoffs = bench.runtime.ledger, BatchBackoffs(steady)
    runs = PrefectRuns(client, dispatching.pool, PrefectOutage())
    run = await lost_run(bench, client, runs, "alert", alert())
    await client.set_flow_run_state(run, Crashed(), force=True)
    with unreadable(server, run):
        await reconciler.reconcile(ledger, runs, backoffs)
    assert [await reconciler.reconcile(ledger, runs, backoffs) for _ in range(2)] == [1, 0]


async def test_a_run_that_prefect_cannot_read_keeps_no_other_type_waiting(
    bench, client, dispatching, server, steady, caplog
):
    await accepted(bench, "order-confirmation", order("1"))
    async with dispatching() as dispatcher:
        await dispatcher.tick()
        [run] = await claimed_runs(bench, client)
        with unreadable(server, run.id):
            steady.time += 6
            await accepted(bench, "alert", alert())
            await dispatcher.tick()
        assert not dispatcher.outage.is_down
        assert "does not tell how far its runs have come: 500" in caplog.text
    assert {run.work_queue_name for run in await claimed_runs(bench, client)} == {"normal", "urgent"}


def database_of(server):
    return sqlite3.connect(make_url(prefect_server.database_url(server.home)).database)


@contextmanager
def unreadable(server, run):
    """Prefect fails to read that run."""

    def change(kind):
        with closing(database_of(server)) as database, database:
            [before] = database.execute("SELECT state_type FROM flow_run WHERE id = ?", [str(run)]).fetchone()
            database.execute("UPDATE flow_run SET state_type = ? WHERE id = ?", [kind, str(run)])
        return before

    before = change("NONSENSE")
    yield
    change(before)


@contextmanager
def failing(server, write):
    """Prefect's database fails at those writes."""
    with closing(database_of(server)) as database:
        database.execute(f"CREATE TRIGGER broken BEFORE {write} BEGIN SELECT abs(-9223372036854775808); END")
        yield
        database.execute("DROP TRIGGER broken")
