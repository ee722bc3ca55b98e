"""A flow's run: what is sent, what is said of it, and what Prefect shows."""

import asyncio
import sqlite3
from uuid import UUID

import anyio
import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.events.filters import EventFilter, EventOccurredFilter, EventOrder, EventResourceFilter
from support.flow_steps import report_of
from support.ledger import Note, attempt_rows, change, rows
from support.note_flow import TYPE, note
from support.task_runs import ended_task_run

from waypost import Recipient, Request
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.ledger.database.tables import idempotency_keys
from waypost.ledger.operations.timeline import explain
from waypost.ledger.queue import claims
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.system.clock import now

pytestmark = pytest.mark.anyio
REFUSED = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, words="no such user")
IN_DOUBT = Outcome(Verdict.UNKNOWN, Phase.DOT, words="connection lost")


def ask(text="hello", **recipient):
    return Request[Note](
        recipient=Recipient(**({"id": "ada", "email": "ada@a.example"} | recipient)), data=Note(text=text)
    )


async def reason_of(bench):
    [row] = [row for row in await rows(bench.runtime.ledger) if row.state != "sent"]
    return row.state, row.reason


async def test_what_is_asked_inline_is_accepted_sent_and_reported(bench):
    report = await note([ask(), ask(id="bob", email="bob@b.example")])
    assert report.states == {State.SENT: 2}
    assert [message.address for message in bench.primary.sent] == ["ada@a.example", "bob@b.example"]
    version = bench.runtime.templates.find("note", "en").version
    assert {a.template_version for a in await attempt_rows(bench.runtime.ledger)} == {version}


async def test_a_run_without_anything_due_sends_nothing(bench):
    report = await note()
    assert str(report) == "nothing was due"


async def test_a_refusal_goes_to_the_backup_and_then_to_the_next_channel(bench):
    bench.primary.answer = bench.backup.answer = lambda message: REFUSED
    report = await report_of(note, [ask(phone="+15550100")])
    attempts = await attempt_rows(bench.runtime.ledger)
    assert report.states == {State.SENT: 1}
    assert [(a.provider, a.verdict) for a in attempts] == [
        ("primary", "refused"), ("backup", "refused"), ("texts", "accepted"),
    ]  # fmt: skip
    assert [message.content for message in bench.sms.sent] == [b"hello"]


async def test_refused_everywhere_is_failed_with_the_last_word(bench):
    for channel in (bench.primary, bench.backup, bench.sms):
        channel.answer = lambda message: REFUSED
    await report_of(note, [ask()])
    state, reason = await reason_of(bench)
    assert state == "failed"
    assert "550 no such user" in reason


async def test_in_doubt_never_falls_back(bench):
    bench.primary.answer = lambda message: IN_DOUBT
    await report_of(note, [ask(phone="+15550100")])
    assert bench.backup.sent == bench.sms.sent == []
    assert (await reason_of(bench))[0] == "deferred"


async def test_what_may_come_a_second_time_is_said_by_its_run(bench):
    taken, bench.primary.answer = bench.primary.answer, lambda message: IN_DOUBT
    await report_of(note, [ask()])
    bench.primary.answer = taken
    await change(bench.runtime.ledger, due_at=now())
    assert str(await report_of(note, [])) == "1 sent (1 possibly twice)"


async def test_a_recipient_without_mail_is_reached_by_the_next_channel(bench):
    await report_of(
        note, [Request[Note](recipient=Recipient(id="phone-only", phone="+15550100"), data=Note())]
    )
    assert [message.address for message in bench.sms.sent] == ["+15550100"]


async def test_a_recipient_nothing_is_known_of_fails_alone(bench):
    unknown = Request[Note](recipient=Recipient(id="nobody"), data=Note())
    report = await report_of(note, [ask(), unknown])
    assert report.states == {State.SENT: 1, State.FAILED: 1}
    assert await reason_of(bench) == ("failed", "the recipient has no address for email or sms")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (ask("wants a variable", id="b"), "body.txt, line 1: 'nowhere' is undefined"),
        (ask("=?utf-8?q?a=0D=0ABcc:_e@x.test?=", id="b"), "Subject contains a control character"),
    ],
)
async def test_what_cannot_be_rendered_fails_alone_and_before_anything_is_sent(bench, bad, said):
    report = await report_of(note, [bad, *(ask(id=f"r{n}") for n in range(9))])
    assert report.states == {State.SENT: 9, State.FAILED: 1}
    assert said in (await reason_of(bench))[1]


async def test_a_type_without_templates_fails_with_what_to_do(bench, tmp_path):
    bench.runtime.templates = type(bench.runtime.templates)(tmp_path)
    await report_of(note, [ask()])
    state, reason = await reason_of(bench)
    assert state == "failed"
    assert "add templates/note/" in reason


async def test_a_server_that_is_down_is_retried_by_prefect_and_then_deferred(bench, client):
    bench.primary.down = bench.backup.down = True
    state = await note([ask(), ask(id="bob")], return_state=True)
    report = await state.result()
    deliver = await ended_task_run(client, state.state_details.flow_run_id, "deliver")
    assert report.states == {State.DEFERRED: 2}
    assert "primary: it is down" in (await rows(bench.runtime.ledger))[0].reason
    assert deliver.run_count == 3


async def test_after_its_retries_a_server_that_is_down_is_passed_over_and_the_run_says_so(bench, caplog):
    bench.primary.down = True
    report = await note([ask(), ask(id="bob")])
    assert report.states == {State.SENT: 2}
    assert len(bench.backup.sent) == 2
    assert "2 sent through backup, because the circuit of primary is open for 15 s: it is down" in caplog.text
    assert (await note([ask(id="carol")])).states == {State.SENT: 1}, "and at once while it rests"
    assert {attempt.provider for attempt in await attempt_rows(bench.runtime.ledger)} == {"backup"}


async def test_prefect_hears_of_a_provider_that_is_left_alone_and_works_again(bench, client):
    bench.primary.down, began = True, now()
    await report_of(note, [ask()])
    bench.primary.down = False
    bench.runtime.providers.state("primary").breaker.until = 0.0
    await report_of(note, [ask(id="bob")])
    with anyio.fail_after(30):
        while len(heard := await of_provider(client, "primary", began)) < 2:
            await anyio.sleep(0.5)
    assert [one.event.rpartition(".")[2] for one in heard] == ["circuit-opened", "circuit-closed"]
    assert heard[0].payload == {"found": "the circuit of primary is open for 15 s: it is down"}
    assert "flow-run" in {related.role for related in heard[0].related}


async def of_provider(client, name, since):
    """The events that tell of a provider, in their order."""
    wanted = EventFilter(
        resource=EventResourceFilter(id=[f"waypost.provider.{name}"]),
        occurred=EventOccurredFilter(since=since),
        order=EventOrder.ASC,
    )
    return (await client.read_events(wanted, limit=50)).events


async def put_off(bench, times):
    """A notification that only a provider nobody has set could take, put off so often; its waits."""
    bench.runtime.providers.channels[:] = [bench.primary]
    waits = []
    requests = [Request[Note](recipient=Recipient(id="phone-only", phone="+15550100"), data=Note())]
    for _ in range(times):
        report = await note(requests)
        assert report.states == {State.DEFERRED: 1}
        [row] = await rows(bench.runtime.ledger)
        waits.append((row.due_at - now()).total_seconds())
        await change(bench.runtime.ledger, due_at=now())
        requests = []
    return row, waits


async def test_what_nobody_serves_waits_for_a_setting_longer_each_time(bench):
    row, waits = await put_off(bench, 3)
    assert row.reason.startswith("the recipient has no address for email, and there is no provider for sms")
    assert 25 < waits[0] < waits[1] * 0.7 < waits[2] * 0.5


async def test_what_was_put_off_is_counted_and_told_with_its_runs(bench):
    row, _ = await put_off(bench, 2)
    told = [line.what for line in (await explain(bench.runtime.ledger, row.id)).timeline]
    assert told.count("claimed") == 2
    assert [what for what in told if "postponed" in what] == ["attempt 1 postponed", "attempt 2 postponed"]
    assert (await claims.reserve(bench.runtime.ledger, "note", TYPE.lane)).attempt == 3


async def test_a_server_that_stays_down_is_asked_less_and_less(bench):
    bench.primary.down = bench.backup.down = True
    waits = []
    for requests in ([ask()], []):
        await note(requests)
        [row] = await rows(bench.runtime.ledger)
        waits.append((row.due_at - now()).total_seconds())
        await change(bench.runtime.ledger, due_at=now())
    assert waits[0] < waits[1] * 0.7


async def test_a_server_that_comes_back_between_retries_gets_everything_once(bench, client):
    bench.primary.opens_at = 2
    state = await note([ask(), ask(id="bob", email="bob@b.example")], return_state=True)
    report = await state.result()
    deliver = await ended_task_run(client, state.state_details.flow_run_id, "deliver")
    assert report.states == {State.SENT: 2}
    assert len(bench.primary.sent) == 2
    assert deliver.run_count == 2


async def test_the_second_run_of_a_batch_finds_nothing_left(bench):
    first = await note([ask()])
    again = await note(batch=first.batch)
    assert again.states == {}
    assert len(bench.primary.sent) == 1


async def test_the_artifact_lists_outcomes_with_addresses_masked(bench, client, server):
    state = await note([ask(id="carol", email="carol@c.example")], return_state=True)
    run = state.state_details.flow_run_id
    artifacts = await client.request("POST", "/artifacts/filter", json={"sort": "CREATED_DESC", "limit": 1})
    [artifact] = artifacts.json()
    assert UUID(artifact["flow_run_id"]) == run
    assert "c***l@c.example" in artifact["data"]
    assert "carol@c.example" not in artifact["data"]


async def test_bad_parameters_fail_the_run_before_anything_is_accepted(bench):
    good = ask().model_dump()
    bad = {**good, "recipient": {"email": "secret-person@b..example"}}
    state = await note(requests=[good, bad], return_state=True)
    assert state.is_failed()
    assert "requests.1.recipient.email" in state.message
    assert "secret-person" not in state.message
    assert await rows(bench.runtime.ledger) == []


async def test_runs_are_found_by_their_state_on_the_server(bench, client):
    state = await note([ask()], return_state=True)
    run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    [found] = await client.read_flow_runs(flow_run_filter=run)
    assert found.state.is_completed()


async def test_a_request_without_a_key_gets_one_from_its_run(bench):
    state = await note([ask()], return_state=True)
    [row] = await rows(bench.runtime.ledger, idempotency_keys)
    assert row.key == f"run {state.state_details.flow_run_id} request 0"


async def test_while_the_ledger_cannot_be_written_nothing_is_sent_and_then_it_goes_on(bench):
    sent = []

    def lock(message):
        sent.append(message)
        if len(sent) == 1:
            with sqlite3.connect(bench.runtime.settings.home / "ledger.db") as other:
                other.execute("ALTER TABLE attempts RENAME TO elsewhere")
        return Outcome(Verdict.ACCEPTED, Phase.DOT, code=250)

    bench.primary.answer = lock
    bench.primary.permits = PrioritySemaphore(1)
    running = asyncio.create_task(note([ask(), ask(id="bob", email="bob@b.example")]))
    while not bench.runtime.ledger.waiting_since:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert len(sent) == 1
    with sqlite3.connect(bench.runtime.settings.home / "ledger.db") as other:
        other.execute("ALTER TABLE elsewhere RENAME TO attempts")
    report = await running
    assert (report.states, len(sent)) == ({State.SENT: 2}, 2)
