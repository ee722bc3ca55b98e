"""An exception that nobody foresaw, raised for one item of a run: that item fails by name, the others go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from prefect import State as RunState
from prefect import flow
from support import note_flow, poison_item
from support.flow_steps import report_of, reported
from support.ledger import attempt_rows, rows
from support.poison_item import BAD, SECRET, Shouting, Tripping

from waypost import Recipient, Report, Request
from waypost.mail.dkim import Signer
from waypost.model.states import State
from waypost.rendering import preparing
from waypost.tasks import deliver, fallback, lookup, render, report
from waypost.tasks.run_context import without_prefect

pytestmark = pytest.mark.anyio
TEXTS = ("first", BAD, "third")


@pytest.fixture(params=["with Prefect", "without Prefect"])
def run(request):
    """Sends texts as a type, the way a run does; or directly, as what is urgent while Prefect is away."""
    return partial(run_once, alone=request.param == "without Prefect")


async def run_once(type, texts=TEXTS, *, alone) -> Report:
    requests = [
        Request[type.facts](
            recipient=Recipient(id=f"r{number}", email=f"r{number}@a.example", phone="+15550100"),
            data=type.facts(text=text),
        )
        for number, text in enumerate(texts)
    ]

    @flow(name=type.name, validate_parameters=False)
    async def note(asked: Any) -> RunState[Report]:
        Tripping.armed = True
        try:
            notifications = await lookup(type, asked)
            messages = await render(notifications)
            outcomes = await deliver(messages)
            outcomes = await fallback(outcomes)
            return await report(outcomes)
        finally:
            Tripping.armed = False

    if not alone:
        return await report_of(note, requests)
    with without_prefect():
        return reported((await note.fn(requests)).data)


async def the_bad_one(bench):
    [row] = [row for row in await rows(bench.runtime.ledger) if BAD in row.data["text"]]
    return row


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"facts": Tripping}, "reading its facts failed unexpectedly: KeyError"),
        ({"mint": poison_item.mint}, "minting failed unexpectedly: RecursionError"),
        ({"attachments": poison_item.attachments}, "making its attachments failed unexpectedly: MemoryError"),
        ({"facts": Shouting}, "rendering failed unexpectedly: RecursionError"),
        (
            {"mint": poison_item.mint_what_cannot_be_encoded, "route": ("sms",)},
            "encoding failed unexpectedly: UnicodeEncodeError",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_a_type_raises_for_one_fails_that_one(bench, run, caplog, changes, reason):
    made = await run(replace(note_flow.TYPE, **changes))
    row = await the_bad_one(bench)
    assert made.states == {State.SENT: 2, State.FAILED: 1}
    assert (row.state, row.reason) == ("failed", f"{reason} (see the log)")
    sent = [*bench.primary.sent, *bench.sms.sent]
    assert [message.notification.data["text"] for message in sent] == ["first", "third"]
    logged = [line.getMessage() for line in caplog.records if line.name == "waypost.items"]
    assert len(logged) == 1
    assert str(row.id) in logged[0]
    assert " at " in logged[0]
    assert SECRET not in caplog.text


async def test_a_minted_value_that_is_no_text_fails_that_one_by_its_name(bench, run):
    made = await run(replace(note_flow.TYPE, mint=poison_item.mint_what_is_no_text))
    assert made.states == {State.SENT: 2, State.FAILED: 1}
    row = await the_bad_one(bench)
    assert row.reason.startswith("minting failed: `ticket` is not a text; use texts, numbers")
    assert [message.private for message in bench.primary.sent] == [("k4n4ry",)] * 2


@pytest.mark.parametrize("deed", poison_item.DEEDS)
@pytest.mark.parametrize("place", ["mint", "attachments"])
async def test_whatever_a_type_does_for_one_harms_no_other(bench, caplog, place, deed):
    """Raises what an outage raises, ends the process, is cancelled by nobody, never returns."""
    does = {"mint": poison_item.minting, "attachments": poison_item.attaching}[place](deed)
    type = replace(note_flow.TYPE, preparation=timedelta(seconds=0.1), **{place: does})
    made = await run_once(type, alone=True)
    row = await the_bad_one(bench)
    assert made.states == {State.SENT: 2, State.FAILED: 1}
    assert deed in row.reason
    assert str(row.id) in caplog.text
    assert SECRET not in caplog.text + row.reason


@pytest.mark.parametrize("place", ["mint", "attachments"])
async def test_what_takes_too_long_is_found_soon_and_whoever_is_hurried_for_it_comes_back(
    bench, monkeypatch, place
):
    """Twenty that hang: as many as are tried at once fail, the rest has shorter limits and is put off."""
    monkeypatch.setattr(preparing, "LEAST_SECONDS", 0.01)
    does = {"mint": poison_item.minting, "attachments": poison_item.attaching}[place]("took longer than")
    type = replace(note_flow.TYPE, preparation=timedelta(seconds=0.1), **{place: does})
    made = await run_once(type, [BAD] * 20 + ["good"] * 20, alone=True)
    failed = preparing.AT_ONCE
    assert made.states == {State.SENT: 20, State.FAILED: failed, State.DEFERRED: 20 - failed}


async def test_a_mail_that_cannot_be_signed_fails_alone(bench, run):
    bench.runtime.signers = [Signer("a.example", "s1", poison_item.Key())]
    made = await run(note_flow.TYPE)
    assert made.states == {State.SENT: 2, State.FAILED: 1}
    assert (await the_bad_one(bench)).reason == "signing failed unexpectedly: OverflowError (see the log)"


async def test_a_message_that_a_provider_stumbles_over_is_in_doubt_alone(bench, run):
    """How far the provider was only its channel knows: the message may have gone."""
    takes = bench.primary.answer

    def answer(message):
        poison_item.trips(message.content.decode())
        return takes(message)

    bench.primary.answer = answer
    made = await run(note_flow.TYPE)
    [reason] = [row.words for row in await attempt_rows(bench.runtime.ledger) if row.verdict == "unknown"]
    assert made.states == {State.SENT: 2, State.DEFERRED: 1}
    assert reason == "sending failed unexpectedly: RecursionError (see the log)"


@pytest.mark.parametrize(
    ("when", "table", "condition", "state"),
    [
        ("INSERT", "attempts", "1 = 1", "failed"),
        ("UPDATE", "attempts", "NEW.words <> ''", "sent"),
    ],
)
async def test_what_the_ledger_cannot_take_of_one_is_told_of_that_one(
    bench, run, when, table, condition, state
):
    await poison_item.refuse_rows(bench.runtime.ledger, when, table, condition)
    made = await run(note_flow.TYPE)
    row = await the_bad_one(bench)
    assert made.states[State.SENT] == (3 if state == "sent" else 2)
    assert (row.state, row.reason) == (state, "recording failed unexpectedly: IntegrityError (see the log)")


async def test_a_request_that_cannot_be_accepted_is_named_in_the_log_and_the_others_go(bench, run, caplog):
    await poison_item.refuse_rows(bench.runtime.ledger, "INSERT", "notifications")
    made = await run(note_flow.TYPE)
    assert made.states == {State.SENT: 2}
    assert "1 not accepted: requests[1]: accepting failed unexpectedly: IntegrityError" in caplog.text
    assert SECRET not in caplog.text


async def test_a_grouping_key_that_raises_fails_its_request_alone(bench, run, caplog):
    made = await run(replace(note_flow.TYPE, grouping=poison_item.GROUPING))
    assert made.states == {State.SENT: 2}
    assert "requests[1]: accepting failed unexpectedly: ZeroDivisionError" in caplog.text
