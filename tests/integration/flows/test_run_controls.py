"""Retry and Cancel, as a person presses them in the Prefect UI."""

import asyncio
import json
import re
from collections import Counter

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Scheduled
from support.http_faults import holding
from support.ledger import Note, change, reserved, rows, run_sql
from support.note_flow import TYPE
from support.resident import SlowChannel, asks, ended, working
from support.task_runs import ended_task_run

from waypost import Request, RetryPolicy
from waypost.config.settings import CancelledRuns
from waypost.deployments.dispatcher import reconciler
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.prefect_runs import PrefectRuns
from waypost.deployments.processes.flush import flush_prefect
from waypost.deployments.resident_worker import worker as worker_module
from waypost.ledger.database.tables import batches, notifications
from waypost.ledger.intake import accept
from waypost.ledger.operations.retry_cancel import cancel, retry
from waypost.ledger.operations.search import Filter
from waypost.ledger.operations.timeline import explain
from waypost.ledger.queue import batches as batches_of
from waypost.ledger.queue import claims
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.cancelled_runs import HELD_BY_CANCEL
from waypost.ledger.queue.holds import hold, release
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State as Where

pytestmark = pytest.mark.anyio
REFUSED = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, words="no such user")
IN_DOUBT = Outcome(Verdict.UNKNOWN, Phase.DOT, words="connection lost")


def refusing(bench, *people):
    """Every provider refuses the mail of those recipients."""
    taken = bench.primary.answer

    def answer(message):
        return REFUSED if message.notification.recipient.key in people else taken(message)

    bench.primary.answer = bench.backup.answer = answer
    return taken


async def retried(client, run):
    """The state in which a run ends that is retried in the UI."""
    before = (await client.read_flow_run(run.id)).run_count
    await client.set_flow_run_state(run.id, Scheduled(name="AwaitingRetry"))
    while (await client.read_flow_run(run.id)).run_count == before:
        await asyncio.sleep(0.1)
    return await ended(client, run)


def copies(channel):
    return Counter(message.notification.recipient.key for message in channel.sent)


async def test_retry_sends_what_failed_and_nothing_else(bench, client):
    taken = refusing(bench, "r1")
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(3)})
        assert (await ended(client, run)).message.startswith("1 failed, 2 sent: ")
        bench.primary.answer = taken
        again = await retried(client, run)
        assert (again.name, again.message) == ("Completed", "1 sent; 2 were sent by the first try")
        for _ in range(2):
            nothing = await retried(client, run)
            assert nothing.message == 'nothing to send again; the run before said: "1 sent"'
    assert copies(bench.primary) == {"r0": 1, "r1": 1, "r2": 1}
    [one] = [row for row in await rows(bench.runtime.ledger) if row.recipient_key == "r1"]
    lines = (await explain(bench.runtime.ledger, one.id)).timeline
    [line] = [line for line in lines if line.what == "retried"]
    assert line.detail.startswith("by Retry of its run in Prefect; it was failed: ")
    assert all(row.ended_at for row in await rows(bench.runtime.ledger, batches))


async def test_retry_that_fails_again_says_so_and_what_the_first_try_sent(bench, client, caplog):
    refusing(bench, "r1")
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
        await ended(client, run)
        caplog.clear()
        again = await retried(client, run)
    assert again.name == "Failed"
    assert again.message.startswith("1 failed again: ")
    assert again.message.endswith(
        "; 1 was sent by the first try; `waypost explain ID` shows the history of a notification"
    )
    assert "repeated" not in caplog.text


async def test_retry_of_a_run_that_found_its_type_held_says_what_the_run_said(bench, client):
    await accept.accept(bench.runtime.ledger, TYPE, [Request[Note].model_validate(one) for one in asks(1)])
    claim = await reserved(bench.runtime.ledger)
    await hold(bench.runtime.ledger, "note", "a flood")
    async with working(client) as deployment:
        parameters = {"batch": str(claim.id)}
        run = await client.create_flow_run_from_deployment(deployment, parameters=parameters)
        assert (await ended(client, run)).name == "Held"
        held = await retried(client, run)
        await release(bench.runtime.ledger, "note")
        again = await retried(client, run)
    assert (held.name, held.message) == ("Held", "note is held: a flood; 1 waits; `waypost release note`")
    assert again.message == 'nothing to send again; the run before said: "note is held"'


async def test_retry_of_a_run_with_a_batch_takes_no_other_due_notification_along(bench, client):
    taken = refusing(bench, "r0")
    requests = [Request[Note].model_validate(one) for one in asks(2)]
    await accept.accept(bench.runtime.ledger, TYPE, requests[:1])
    claim = await reserved(bench.runtime.ledger)
    async with working(client) as deployment:
        parameters = {"batch": str(claim.id)}
        run = await client.create_flow_run_from_deployment(deployment, parameters=parameters)
        assert (await ended(client, run)).name == "Failed"
        await accept.accept(bench.runtime.ledger, TYPE, requests[1:])
        bench.primary.answer = taken
        assert (await retried(client, run)).message == "1 sent"
    assert copies(bench.primary) == {"r0": 1}


async def test_retry_of_a_run_that_took_nothing_sends_nothing_and_says_so(bench, client):
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment)
        assert (await ended(client, run)).message == "nothing was due"
        await accept.accept(
            bench.runtime.ledger, TYPE, [Request[Note].model_validate(one) for one in asks(1)]
        )
        again = await retried(client, run)
    assert again.message.startswith("nothing to send again; the run before took nothing up")
    assert [row.state for row in await rows(bench.runtime.ledger)] == ["accepted"]


async def test_retry_never_sends_what_may_have_arrived_and_stays_red_for_what_failed(bench, client):
    bench.primary.answer = lambda message: IN_DOUBT
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(1)})
        await ended(client, run)
        await change(bench.runtime.ledger, state="failed", reason="refused", finished_at=None)
        again = await retried(client, run)
    assert (again.type.value, again.name) == ("FAILED", "Failed")
    assert "1 may have arrived: `waypost retry ID` sends each again" in again.message


async def test_retry_stays_red_for_what_may_have_arrived_beside_what_it_sends(bench, client):
    taken = refusing(bench, "r0", "r1")
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(3)})
        await ended(client, run)
        await change(bench.runtime.ledger, notifications, notifications.c.recipient_key == "r0", in_doubt=1)
        bench.primary.answer = taken
        again = await retried(client, run)
    assert (again.type.value, again.name) == ("FAILED", "Failed")
    assert again.message == (
        "1 sent; 1 was sent by the first try; 1 may have arrived: `waypost retry ID` sends each again"
    )
    assert copies(bench.primary) == {"r1": 1, "r2": 1}


async def failed_twice(bench, client, deployment):
    """A run of two whose mail fails, and fails again in another run after `waypost retry`."""
    ledger = bench.runtime.ledger
    run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
    assert (await ended(client, run)).name == "Failed"
    assert (await retry(ledger, Filter(states=(Where.FAILED,)), {TYPE.name: TYPE.deadline})).total() == 2
    other = await client.create_flow_run_from_deployment(
        deployment, parameters={"batch": str((await reserved(ledger)).id)}
    )
    assert (await ended(client, other)).name == "Failed"
    return run


async def test_retry_sends_what_failed_in_the_run_although_another_run_had_it_last(bench, client):
    taken = refusing(bench, "r0", "r1")
    async with working(client) as deployment:
        run = await failed_twice(bench, client, deployment)
        again = await retried(client, run)
        assert (again.name, again.message.split(":")[0]) == ("Failed", "2 failed again")
        bench.primary.answer = taken
        assert (await retried(client, run)).message == "2 sent"
    assert copies(bench.primary) == {"r0": 1, "r1": 1}


async def test_retry_stays_red_while_what_failed_in_the_run_may_have_arrived_in_another(bench, client):
    refusing(bench, "r0", "r1")
    async with working(client) as deployment:
        run = await failed_twice(bench, client, deployment)
        await change(bench.runtime.ledger, in_doubt=1)
        again = await retried(client, run)
    assert (again.type.value, again.name) == ("FAILED", "Failed")
    assert "2 may have arrived" in again.message


@pytest.mark.parametrize("tried", [True, False])
async def test_retry_of_a_run_whose_type_is_held_now_is_shown_as_held(bench, client, tried):
    refusing(bench, "r0", "r1")
    ledger = bench.runtime.ledger
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
        await ended(client, run)
        if not tried:
            await run_sql(ledger, "DELETE FROM attempts")
        await hold(ledger, TYPE.name, "a flood")
        again = await retried(client, run)
    assert (again.type.value, again.name) == ("COMPLETED", "Held")
    assert again.message == "note is held: a flood; 2 wait; `waypost release note`"


async def test_retry_of_a_run_whose_code_failed_tells_what_became_of_its_mail(bench, client, caplog):
    ledger = bench.runtime.ledger
    async with working(client, "support.note_flow.faulty_note") as deployment:
        run = await client.create_flow_run_from_deployment(
            deployment, parameters={"requests": asks(2)}, name="mine"
        )
        failed = await ended(client, run)
        assert failed.name == "Failed"
        assert "ValueError at support/note_flow.py:" in failed.message
        assert "Traceback" not in caplog.text
        async with asyncio.timeout(20):  # the worker takes it back once the run has ended
            while {row.state for row in await rows(ledger)} != {"deferred"}:
                await asyncio.sleep(0.1)
        again = await retried(client, run)
        assert (again.type.value, again.name) == ("COMPLETED", "Deferred")
        assert again.message.endswith("2 deferred: to be tried again")
        assert (await client.read_flow_run(run.id)).name == "mine"
        await cancel(ledger, Filter())
        again = await retried(client, run)
    assert (again.name, again.message.split("; ")[-1]) == ("Completed", "2 cancelled")


async def cancelled(client, deployment, slow, count=40):
    """A run that is cancelled in the UI while it sends, and the state in which it ends."""
    run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(count)})
    while len(slow.sent) < 4:
        await asyncio.sleep(0.05)
    await client.set_flow_run_state(run.id, Cancelling())
    while (state := await ended(client, run)).name != "Cancelled":
        pass
    return run, state


async def test_cancel_holds_what_has_not_gone_and_the_runs_page_says_so(bench, client, caplog):
    slow = bench.runtime.providers.channels[0] = SlowChannel("slow", permits=2)
    async with working(client) as deployment:
        run, state = await cancelled(client, deployment, slow)
        sent = len(slow.sent)
        found = await rows(bench.runtime.ledger)
        assert Counter(row.state for row in found) == {"sent": sent, "held": 40 - sent}
        assert {row.reason for row in found if row.state == "held"} == {HELD_BY_CANCEL}
        assert state.message == (
            f"Cancelled: {40 - sent} held, {sent} sent. What is held waits for a person: Retry of this run "
            "sends it, or `waypost retry ID`."
        )
        assert {row.ending for row in await rows(bench.runtime.ledger, batches)} == {"cancelled"}
        assert state.message in caplog.text
        assert (await client.read_flow_run(run.id)).name == "40 note"
        assert "Crash" not in caplog.text
        assert "Finished in state" not in caplog.text
        deliver = await ended_task_run(client, run.id, "deliver")
        assert deliver.state.type.value == "CANCELLED"
        # The step's own words, or those of Prefect's server, which may be quicker.
        assert re.fullmatch(r"The (parent flow )?run was cancelled\.", deliver.state.message)
        asked = {"artifacts": {"flow_run_id": {"any_": [str(run.id)]}}}
        [table] = (await client.request("POST", "/artifacts/filter", json=asked)).json()
        assert Counter(row["State"] for row in json.loads(table["data"])) == {"sent": sent, "held": 40 - sent}
        again = await retried(client, run)
        assert again.message.startswith(f"{40 - sent} sent")
    assert copies(slow) == {f"r{n}": 1 for n in range(40)}


async def test_a_run_that_is_cancelled_just_before_its_end_says_at_once_that_it_was_too_late(
    bench, client, monkeypatch
):
    monkeypatch.setattr(worker_module, "CANCELLATION_SECONDS", 60.0)  # no look comes before its end
    async with working(client, "support.note_flow.lingering_note") as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(2)})
        while [row.ending for row in await rows(bench.runtime.ledger, batches)] != ["done"]:
            await asyncio.sleep(0.02)
        await client.set_flow_run_state(run.id, Cancelling())
        async with asyncio.timeout(3):
            state = await ended(client, run)
    assert (state.name, state.message) == ("Completed", "2 sent; the cancellation came too late to stop this")


async def test_a_run_keeps_the_name_that_a_person_gave_it(bench, client):
    async with working(client) as deployment:
        for name, kept in (("For the board", "For the board"), (None, "1 note"), ("2 note", "1 note")):
            run = await client.create_flow_run_from_deployment(
                deployment, parameters={"requests": asks(1)}, name=name
            )
            await ended(client, run)
            assert (await client.read_flow_run(run.id)).name == kept


async def test_the_request_for_a_runs_name_goes_beside_its_mail_and_once(bench, client, server):
    def names(request):
        return request.startswith(b"PATCH /api/flow_runs/") and b'"name"' in request

    async with holding(server.api.removesuffix("/api"), names) as (url, front):
        with temporary_settings({PREFECT_API_URL: f"{url}/api"}):
            async with get_client() as through, working(through) as deployment:
                run = await through.create_flow_run_from_deployment(
                    deployment, parameters={"requests": asks(2)}, name="brave-otter"
                )
                while len(bench.primary.sent) < 2:
                    await asyncio.sleep(0.05)
                assert len(front.held) == 1
                front.let_go.set()
                assert (await ended(client, run)).message == "2 sent"
            await flush_prefect()
    assert (await client.read_flow_run(run.id)).name == "2 note"
    assert len(front.held) == 1


async def test_a_run_has_its_name_while_it_sends(bench, client):
    slow = bench.runtime.providers.channels[0] = SlowChannel("slow", permits=2)
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(40)})
        while (await client.read_flow_run(run.id)).name != "40 note":
            await asyncio.sleep(0.05)
        assert len(slow.sent) < 40
        await ended(client, run)


async def test_the_account_of_a_long_cancelled_run_counts_all_and_shows_the_worst(bench, client):
    slow = bench.runtime.providers.channels[0] = SlowChannel("slow", permits=8)
    async with working(client) as deployment:
        run, state = await cancelled(client, deployment, slow, count=400)
    sent = len(slow.sent)
    held = 400 - sent
    assert Counter(row.state for row in await rows(bench.runtime.ledger)) == {"sent": sent, "held": held}
    assert state.message.startswith(f"Cancelled: {held} held, {sent} sent. What is held waits")
    asked = {"artifacts": {"flow_run_id": {"any_": [str(run.id)]}}}
    [table] = (await client.request("POST", "/artifacts/filter", json=asked)).json()
    shown = [row["State"] for row in json.loads(table["data"])]
    assert (len(shown), shown.count("held")) == (100, min(held, 100))
    assert f"| held | {held} |" in table["description"]


@pytest.mark.parametrize(("module", "write"), [(accept, "accept_for_run"), (claims, "take_up")])
async def test_cancel_during_lookup_holds_what_it_has_committed(bench, client, monkeypatch, module, write):
    committed = asyncio.Event()
    real = getattr(module, write)

    async def answered_late(*arguments, **named):
        answer = await real(*arguments, **named)
        if not committed.is_set():
            committed.set()
            await asyncio.sleep(60)
        return answer

    monkeypatch.setattr(module, write, answered_late)
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(3)})
        await committed.wait()
        await client.set_flow_run_state(run.id, Cancelling())
        state = await ended(client, run)
        assert state.message.startswith("Cancelled before anything was sent. What is held waits")
        found = [(row.state, row.reason) for row in await rows(bench.runtime.ledger)]
        assert found == [("held", HELD_BY_CANCEL)] * 3
        assert {row.ending for row in await rows(bench.runtime.ledger, batches)} == {"cancelled"}
        assert (await retried(client, run)).message.startswith("3 sent")
    assert copies(bench.primary) == {f"r{n}": 1 for n in range(3)}


async def test_a_setting_lets_the_rest_of_a_cancelled_run_go_out_with_another(bench, client, monkeypatch):
    slow = bench.runtime.providers.channels[0] = SlowChannel("slow", permits=2)
    resending = bench.runtime.settings.model_copy(update={"cancelled_runs": CancelledRuns.RESEND})
    monkeypatch.setattr(bench.runtime, "settings", resending)
    async with working(client) as deployment:
        _, state = await cancelled(client, deployment, slow)
    states = {row.state for row in await rows(bench.runtime.ledger)}
    assert states - {"deferred"} == {"sent", "accepted"}
    assert state.message.endswith("sent. What was not sent goes out with another run.")


async def test_a_run_whose_batch_was_sent_without_prefect_first_says_so(bench, client, monkeypatch):
    monkeypatch.setattr(reconciler, "GRACE", reconciler.GRACE * 0)
    ledger = bench.runtime.ledger
    await accept.accept(ledger, TYPE, [Request[Note].model_validate(one) for one in asks(1)])
    claim = await reserved(ledger)
    async with working(client) as deployment:
        await batches_of.end(ledger, claim.id, BatchResult.DIRECT, "1 sent")
        run = await client.create_flow_run_from_deployment(deployment, parameters={"batch": str(claim.id)})
        assert (await ended(client, run)).message == f"batch {claim.id} has ended (direct)"
        await batches_of.given_run(ledger, claim.id, run.id)
        await reconciler.reconcile(ledger, PrefectRuns(client, "no-pool", PrefectOutage()))
    run = await client.read_flow_run(run.id)
    assert run.state.message == "Sent without Prefect, which did not respond: 1 sent"
    assert "without-prefect" in run.tags


@pytest.fixture
def patient():
    """The note's type waits for two seconds before it tries a provider again."""
    before = TYPE.retry
    object.__setattr__(TYPE, "retry", RetryPolicy(connect=(2.0, 2.0)))
    yield
    object.__setattr__(TYPE, "retry", before)


async def test_cancel_of_a_run_that_waits_for_its_provider_ends_it_at_the_next_try(
    bench, client, caplog, patient
):
    bench.primary.down = True
    bench.runtime.providers.channels[:] = [bench.primary]
    async with working(client) as deployment:
        run = await client.create_flow_run_from_deployment(deployment, parameters={"requests": asks(1)})
        while "try 2 of 3 in 2 s" not in caplog.text:
            await asyncio.sleep(0.1)
        await client.set_flow_run_state(run.id, Cancelling())
        state = await ended(client, run)
    assert (state.name, [row.state for row in await rows(bench.runtime.ledger)]) == ("Cancelled", ["held"])
    assert state.message.startswith("Cancelled: 1 held.")
    assert "Crash" not in caplog.text
