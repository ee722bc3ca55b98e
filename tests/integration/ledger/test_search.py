"""Listing: what is asked for, newest first, a page at a time, whatever stands in the rows."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from support.ledger import LONG_AGO, accepted, change, claimed, rows, run_sql
from support.plans import plans_of, statements_of

from waypost.ledger.database.tables import notifications
from waypost.ledger.operations.search import Filter, find
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now

pytestmark = pytest.mark.anyio


async def failed(ledger, words="mailbox unknown", provider="smtp"):
    batch, [one] = await claimed(ledger)
    recorder, begin = Recorder(ledger), AttemptStarted(one.id, batch, "email", provider, None)
    await recorder.begin(begin)
    outcome = Outcome(Verdict.REFUSED, Phase.RCPT, code=550, words=words)
    await recorder.finish(AttemptFinished(one.id, batch, Decision(State.FAILED, words), 0, begin.id, outcome))
    return one.id


async def ids(ledger, **wanted):
    return [one.id for one in (await find(ledger, Filter(**wanted))).notifications]


async def set_one(ledger, id, **values):
    update = sa.update(notifications).where(notifications.c.id == id).values(**values)
    await ledger.write(lambda connection: connection.execute(update))


async def test_pages_are_the_newest_first_and_follow_each_other(ledger):
    made = [receipt.id for receipt in await accepted(ledger, 5)]
    first = await find(ledger, Filter(), limit=3)
    second = await find(ledger, Filter(), after=first.next, limit=3)
    assert [one.id for one in (*first.notifications, *second.notifications)] == sorted(made, reverse=True)
    assert second.next is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"recipient": ("r1", "mailto:r1@a.example")},
        {"recipient": ("r1",), "client": "shop"},
        {"recipient": ("r1", "mailto:r1@a.example"), "clients": ("shop", "till")},
        {"recipient": ("r1",), "clients": ()},
        {"recipient": ("r1",), "clients": ("shop",), "states": (State.FAILED, State.SENT)},
        {"recipient": ("r1",), "client": "shop", "states": (State.FAILED, State.SENT)},
        {"tag": "a", "client": "shop"},
        {"client": "shop"},
        {"states": (State.FAILED,)},
    ],
)
async def test_a_list_goes_by_an_index(ledger, wanted):
    await accepted(ledger, 3)
    seen = statements_of(ledger)
    await find(ledger, Filter(**wanted))
    asked = [one for one in seen if one[0].startswith(("SELECT", "WITH"))]
    found = [plan for _, plan in await plans_of(ledger, asked)]
    assert any("notifications" in plan for plan in found)
    assert not [
        plan for plan in found if re.search(r"Seq Scan on notifications|SCAN notifications\b(?! USING)", plan)
    ]


async def test_a_full_last_page_has_no_next(ledger):
    await accepted(ledger, 3)
    assert (await find(ledger, Filter(), limit=3)).next is None


async def test_states_are_merged_in_order(ledger):
    one, two = await failed(ledger), await failed(ledger)
    [three] = [receipt.id for receipt in await accepted(ledger)]
    both = (State.ACCEPTED, State.FAILED)
    assert await ids(ledger, states=both) == [three, two, one]
    page = await find(ledger, Filter(states=both), limit=2)
    assert [one.id for one in (await find(ledger, Filter(states=both), page.next)).notifications] == [one]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"states": (State.FAILED,)}, True),
        ({"states": (State.SENT, State.EXPIRED)}, False),
        ({"states": (State.FAILED, State.FAILED)}, True),
        ({"type": "note"}, True),
        ({"type": "not"}, False),
        ({"provider": "smtp"}, True),
        ({"provider": "backup"}, False),
        ({"reason": "MAILBOX unk"}, True),
        ({"reason": "mail%unknown"}, False),
        ({"reason": "mailbox_unknown"}, False),
        ({"since": now() - timedelta(days=400)}, True),
        ({"since": now() + timedelta(days=400)}, False),
        ({"until": now() + timedelta(days=400)}, True),
        ({"until": now() - timedelta(days=400)}, False),
        ({"since": LONG_AGO, "until": now() + timedelta(days=9), "type": "note", "reason": "box"}, True),
    ],
)
async def test_every_field_of_a_filter_must_hold(ledger, wanted, found):
    await failed(ledger)
    assert bool(await ids(ledger, **wanted)) is found


async def test_what_may_have_arrived_twice_is_found(ledger):
    first = await failed(ledger)
    [second] = [receipt.id for receipt in await accepted(ledger)]
    await set_one(ledger, second, in_doubt=1)
    assert await ids(ledger, in_doubt=True) == [second]
    page = await find(ledger, Filter())
    assert [(one.id, one.in_doubt) for one in page.notifications] == [(second, 1), (first, 0)]


async def test_the_bounds_are_when_it_was_accepted(ledger):
    made = await failed(ledger)
    [row] = await rows(ledger)
    assert await ids(ledger, since=row.accepted_at) == [made]
    assert await ids(ledger, until=row.accepted_at) == []
    await change(ledger, accepted_at=now() + timedelta(hours=2))  # the ledger was away for two hours
    assert await ids(ledger, since=now() + timedelta(hours=1)) == [made]


async def test_a_row_says_what_there_is_to_know_with_addresses_masked(ledger):
    await failed(ledger, "someone@a.example is unknown")
    [one] = (await find(ledger, Filter())).notifications
    assert (one.type, one.state, one.recipient, one.attempts, one.provider) == (
        "note", "failed", "r0 ***@a.example", 1, "smtp",
    )  # fmt: skip
    assert (one.reason, one.finished_at > one.accepted_at) == ("s***e@a.example is unknown", True)


async def test_the_provider_is_the_last_that_was_tried(ledger):
    batch, [one] = await claimed(ledger)
    for provider in ("smtp", "backup"):
        await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", provider, None))
    assert [entry.provider for entry in (await find(ledger, Filter())).notifications] == ["backup"]
    assert await ids(ledger, provider="smtp") == [one.id]


async def test_an_unknown_state_is_shown_as_it_stands(ledger):
    made = await failed(ledger)
    await set_one(ledger, made, state="lost in space")
    assert [one.state for one in (await find(ledger, Filter())).notifications] == ["lost in space"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("due_at", "'yesterday'", "yesterday"),
        ("accepted_at", "x'00ff'", "\x00\ufffd"),
        ("finished_at", "12", "12"),
        ("tries", "'many'", "many"),
        ("reason", "CAST(x'ff61' AS TEXT)", "\ufffda"),
        ("batch_id", "'nobody'", None),
    ],
)
async def test_what_cannot_be_read_is_shown_as_it_stands_and_hides_no_other(ledger, column, value, shown):
    await accepted(ledger, 2)
    await run_sql(ledger, f"UPDATE notifications SET {column} = {value} WHERE recipient_key = 'r0'")
    found = (await find(ledger, Filter())).notifications
    assert len(found) == 2
    name = "attempts" if column == "tries" else column
    assert shown is None or shown in [getattr(one, name) for one in found]


@pytest.mark.parametrize("states", [(State.FAILED,), (State.FAILED, State.HELD)])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_what_is_in_trouble_is_found_by_its_index(ledger, states):
    told = []

    def listen(_connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            told.append((statement, parameters))

    sa.event.listen(ledger.engine, "before_cursor_execute", listen)
    await find(ledger, Filter(states=states))
    [(statement, parameters)] = told

    def plan(connection):
        return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]

    steps = await ledger.read(plan)
    assert sum("ix_notifications_trouble (state=?)" in step for step in steps) == len(states)
    assert not any(step.startswith("SCAN notifications") for step in steps), steps
