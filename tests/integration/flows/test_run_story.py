"""What a run's page tells: its state, its table, its log and its steps, and the runs before it."""

import json
import re

import pytest
from prefect.settings import PREFECT_UI_URL, temporary_settings
from support.flow_steps import report_of
from support.ledger import Note, change, reserved, rows, run_sql
from support.note_flow import TYPE, note
from support.task_runs import ended_task_run

from waypost import Recipient, Request
from waypost.ledger.database.tables import batches
from waypost.ledger.intake import accept
from waypost.ledger.operations.short_ids import short
from waypost.ledger.queue.claims import TOO_LATE
from waypost.ledger.queue.damaged_rows import CANNOT_BE_READ
from waypost.ledger.queue.holds import hold
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio
REFUSED = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, enhanced="5.1.1", words="no such user")
LATER = Outcome(Verdict.DEFERRED, Phase.RCPT, code=451, enhanced="4.7.1", words="try again in 60 seconds")
IN_DOUBT = Outcome(Verdict.UNKNOWN, Phase.DOT, words="connection lost")


def ask(id="ada", **recipient):
    return Request[Note](
        recipient=Recipient(**{"id": id, "email": f"{id}@a.example"} | recipient), data=Note()
    )


async def accepted_before(bench, *requests):
    """The batch of notifications that were accepted and claimed before their run."""
    await accept.accept(bench.runtime.ledger, TYPE, list(requests))
    return (await reserved(bench.runtime.ledger)).id


async def table(client, run):
    """The rows and the description of a run's table; None without one."""
    asked = {"artifacts": {"flow_run_id": {"any_": [str(run)]}}}
    found = (await client.request("POST", "/artifacts/filter", json=asked)).json()
    return (json.loads(found[0]["data"]), found[0]["description"]) if found else None


def run_of(state):
    return state.state_details.flow_run_id


async def due_again(bench):
    await change(bench.runtime.ledger, due_at=now())
    return await note(return_state=True)


@pytest.mark.parametrize(
    ("damage", "counted", "reason"),
    [
        (
            "expires_at = '2020-01-01 00:00:00.000000'",
            State.EXPIRED,
            TOO_LATE,
        ),
        ("data = '[]'", State.FAILED, CANNOT_BE_READ),
        ("data = '{oh'", State.FAILED, CANNOT_BE_READ),
    ],
)
async def test_what_ends_at_lookup_counts_in_state_and_table(bench, client, damage, counted, reason):
    batch = await accepted_before(bench, ask(), ask("bob"))
    await run_sql(bench.runtime.ledger, f"UPDATE notifications SET {damage} WHERE recipient_key = 'bob'")
    state = await note(batch=batch, return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "PartlyFailed")
    assert state.message == f"1 {counted}, 1 sent: {reason}"
    lines, _ = await table(client, run_of(state))
    assert (lines[0]["State"], lines[0]["Detail"]) == (counted, f"`{reason}`")


async def test_a_run_of_a_held_type_says_why_it_sends_nothing(bench):
    batch = await accepted_before(bench, ask())
    await hold(bench.runtime.ledger, "note", "a flood")
    state = await note(batch=batch, return_state=True)
    assert (state.name, state.message) == ("Held", "note is held: a flood; 1 waits; `waypost release note`")


async def test_a_run_of_its_own_of_a_held_type_says_how_many_wait(bench, client, caplog):
    notes = [ask(), ask("bob"), ask("carol")]
    await accept.accept(bench.runtime.ledger, TYPE, notes)
    await hold(bench.runtime.ledger, "note", "")
    state = await note(return_state=True)
    assert (state.name, state.message) == (
        "Held", "note is held: no reason given; 3 wait; `waypost release note`"
    )  # fmt: skip
    assert await ended_task_run(client, run_of(state), "report: note is held")
    assert "nothing was due" not in caplog.text


async def test_what_is_held_in_doubt_gives_its_run_a_name_and_a_reason(bench):
    bench.primary.answer = lambda message: IN_DOUBT
    await note([ask()], return_state=True)
    state = await due_again(bench)
    assert (state.type.value, state.name) == ("COMPLETED", "Held")
    assert (
        "1 held; a person decides: `waypost list --state held`: in doubt; a person decides" in state.message
    )


async def test_a_request_that_is_not_accepted_fails_its_run(bench):
    await note([ask().model_copy(update={"idempotency_key": "one"})])
    other = ask("bob").model_copy(update={"idempotency_key": "one"})
    state = await note([other, ask("carol")], return_state=True)
    assert (state.name, state.message) == (
        "PartlyFailed",
        "1 not accepted, 1 sent; 1 under an idempotency key that another request has",
    )


@pytest.mark.parametrize("other", [True, False])
async def test_a_run_of_a_batch_that_it_cannot_have_is_red(bench, other):
    batch = await accepted_before(bench, ask())
    if other:
        await change(bench.runtime.ledger, batches, type="other")
    state = await note(batch=batch if other else new_id(), return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message.endswith("is of type other, not note" if other else "does not exist")


async def test_a_run_of_known_requests_says_that_they_were_accepted_before(bench):
    one = ask().model_copy(update={"idempotency_key": "one"})
    await note([one])
    assert (await note([one], return_state=True)).message == "1 accepted before"


async def test_the_table_shows_the_worst_first_with_refused_steps_next_try_and_a_total(bench, client):
    bench.primary.answer = lambda message: {"dora": REFUSED, "fred": REFUSED, "lena": LATER}.get(
        message.notification.recipient.key, Outcome(Verdict.ACCEPTED, Phase.DOT, words="accepted")
    )
    bench.backup.answer = lambda message: REFUSED
    asked = [ask("ada"), ask("lena"), ask("fred", phone="+15550100"), ask("dora")]
    state = await note(asked, return_state=True)
    lines, summary = await table(client, run_of(state))
    assert [line["State"] for line in lines] == ["failed", "deferred", "sent", "sent"]
    assert list(lines[0]) == [
        "State", "Recipient", "Notification", "Attempt", "Next try (UTC)", "Provider", "Detail", "Full id",
    ]  # fmt: skip
    failed, deferred = lines[:2]
    plain, rescued = sorted(lines[2:], key=lambda line: line["Provider"])
    assert failed["Detail"] == (
        "`primary: refused: 550 5.1.1 no such user; backup: refused: 550 5.1.1 no such user`"
    )
    assert (deferred["Attempt"], deferred["Detail"]) == ("1", "`451 4.7.1 try again in 60 seconds`")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", deferred["Next try (UTC)"])
    assert (plain["Detail"], plain["Next try (UTC)"]) == ("", ""), "and no word of SMTP"
    assert rescued["Detail"].endswith(
        "backup: refused: 550 5.1.1 no such user; then sent through texts: 250 kept in memory`"
    )
    assert plain["Notification"] in {short(row.id) for row in await rows(bench.runtime.ledger)}
    assert "| **total** | **4** |" in summary


async def test_a_table_in_which_nothing_waits_has_no_next_try(bench, client):
    lines, _ = await table(client, run_of(await note([ask()], return_state=True)))
    assert [*lines[0]] == ["State", "Recipient", "Notification", "Attempt", "Provider", "Detail", "Full id"]


async def test_a_retry_names_and_links_the_run_before_it(bench, client):
    bench.primary.answer = lambda message: LATER
    first = await note([ask()], return_state=True)
    bench.primary.answer = lambda message: REFUSED
    with temporary_settings({PREFECT_UI_URL: "http://ui.example"}):
        second = await due_again(bench)
    assert f"tried before in http://ui.example/runs/flow-run/{run_of(first)}" in second.message
    lines, summary = await table(client, run_of(second))
    assert f"](/runs/flow-run/{run_of(first)})" in summary
    assert lines[0]["Attempt"] == "3", "the backup's, after the primary refused"


async def test_a_run_that_repeats_the_last_adds_no_table(bench, client):
    bench.primary.answer = lambda message: LATER
    first = await note([ask()], return_state=True)
    again = Outcome(Verdict.DEFERRED, Phase.RCPT, code=451, enhanced="4.7.1", words="try again in 31 seconds")
    bench.primary.answer = lambda message: again
    second = await due_again(bench)
    bench.primary.answer = lambda message: Outcome(Verdict.DEFERRED, Phase.RCPT, code=452, words="full")
    third = await due_again(bench)
    shown = [await table(client, run_of(state)) is not None for state in (first, second, third)]
    assert shown == [True, False, True]
    assert str(run_of(second)) in third.message


async def test_a_run_whose_provider_stays_down_repeats_the_last_and_follows_it(bench, client):
    bench.primary.down = bench.backup.down = True
    first = await note([ask()], return_state=True)
    second = await due_again(bench)
    assert str(run_of(first)) in second.message
    assert await table(client, run_of(second)) is None


async def test_a_short_retry_waits_with_a_sentence_and_logs_no_exception(bench, client, caplog):
    bench.primary.opens_at = 2
    state = await note([ask()], return_state=True)
    deliver = await ended_task_run(client, run_of(state), "deliver")
    asked = {"task_run_id": str(deliver.id)}
    states = (await client.request("GET", "/task_run_states/", params=asked)).json()
    waiting = next(one for one in states if one["name"] == "AwaitingRetry")
    assert waiting["message"].endswith("1 waiting; try 2 of 3 in 0.1 s")
    assert "exception" not in caplog.text
    assert deliver.run_count == 2


async def test_steps_are_named_for_what_they_did(bench, client):
    bench.primary.answer = lambda message: REFUSED
    bench.backup.answer = lambda message: REFUSED
    state = await note([ask(phone="+15550100"), ask("bob")], return_state=True)
    for name in (
        "lookup: 2",
        "render: 2",
        "deliver: 0 of 2",
        "fallback: 1 by sms",
        "report: 1 failed, 1 sent",
    ):
        assert (await ended_task_run(client, run_of(state), name)).name == name


async def test_a_run_without_a_refusal_has_no_fallback(bench, client):
    state = await note([ask()], return_state=True)
    await ended_task_run(client, run_of(state), "report: 1 sent")
    asked = {"flow_runs": {"id": {"any_": [str(run_of(state))]}}}
    steps = (await client.request("POST", "/task_runs/filter", json=asked)).json()
    names = ["deliver: 1 of 1", "lookup: 1", "render: 1", "report: 1 sent"]
    assert sorted(step["name"] for step in steps) == names


async def test_a_run_logs_at_most_six_lines_of_ours_with_the_reasons_and_what_to_do(bench, caplog):
    bench.primary.down = True
    bench.backup.answer = lambda message: REFUSED if message.address.startswith("bob") else LATER
    await report_of(note, [ask(), ask("bob"), ask("carol", phone="+15550100")])
    lines = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name.startswith(("prefect.task_runs", "prefect.flow_runs"))
        and record.module not in ("task_engine", "flow_engine")
    ]
    assert 3 <= len(lines) <= 6, lines
    told = "\n".join(line for _, line in lines)
    assert lines[0] == ("INFO", "3 notifications; attempt 1")
    assert "550 5.1.1 no such user" in told
    assert "451 4.7.1 try again in 60 seconds" in told
    assert "`waypost explain " in told
    assert any(level == "WARNING" and "2 deferred" in line for level, line in lines)
