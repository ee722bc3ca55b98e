"""Handing out: exclusively, by lane, once."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from support.ledger import (
    LONG_AGO,
    NOTE,
    accepted,
    ask,
    bundled,
    change,
    claimed,
    reserved,
    rows,
    run_sql,
    taken,
)
from uuid_utils.compat import uuid7

from waypost import Priority
from waypost.ledger.database.tables import batches as batch_table
from waypost.ledger.database.tables import events, notifications
from waypost.ledger.intake.accept import accept, accept_for_run
from waypost.ledger.queue import batches, claims
from waypost.ledger.queue.attempts import AttemptStarted
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.claims import reserve, take_up
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.queue.waiting_lanes import waiting_lanes
from waypost.system.clock import now

pytestmark = pytest.mark.anyio


async def states(ledger):
    return sorted(row.state for row in await rows(ledger))


async def test_a_run_takes_what_was_reserved_for_it_with_its_recipient(ledger):
    await accepted(ledger, 3)
    claim = await reserved(ledger)
    found = (await take_up(ledger, "note", claim.id)).notifications
    assert [n.recipient.email for n in found] == ["r0@a.example", "r1@a.example", "r2@a.example"]
    assert (claim.size, claim.attempt, await states(ledger)) == (3, 1, ["claimed"] * 3)


async def test_two_workers_given_the_same_run_share_nothing(ledger):
    await accepted(ledger, 40)
    claim = await reserved(ledger)
    four = await asyncio.gather(*(take_up(ledger, "note", claim.id) for _ in range(4)))
    assert sorted(len(one.notifications) for one in four) == [0, 0, 0, 40]
    assert [one.reason for one in four if not one.notifications] == [
        f"batch {claim.id} belongs to another run; if its worker was lost, a later run sends the rest"
    ] * 3


async def test_a_batch_of_another_type_or_of_none_holds_nothing_and_says_why(ledger):
    await accepted(ledger, 1)
    claim, nowhere = await reserved(ledger), uuid7()
    assert (await take_up(ledger, "other", claim.id)).reason == f"batch {claim.id} is of type note, not other"
    assert (await take_up(ledger, "note", nowhere)).reason == f"batch {nowhere} does not exist"
    assert len((await take_up(ledger, "note", claim.id)).notifications) == 1


async def test_an_ended_batch_holds_nothing_and_says_how_it_ended(ledger):
    batch, _ = await claimed(ledger)
    assert await batches.end(ledger, batch, BatchResult.DONE)
    assert (await take_up(ledger, "note", batch)).reason == f"batch {batch} has ended (done)"


async def test_what_is_past_its_deadline_expires_instead_of_being_claimed(ledger):
    await accepted(ledger, 1)
    await change(ledger, expires_at=LONG_AGO)
    assert await reserved(ledger) is None
    [row] = await rows(ledger)
    assert (row.state, row.finished_at is not None) == ("expired", True)


async def test_what_expires_between_claim_and_run_is_not_sent(ledger):
    await accepted(ledger, 1)
    claim = await reserved(ledger)
    await change(ledger, expires_at=LONG_AGO)
    assert (await take_up(ledger, "note", claim.id)).notifications == []
    assert await states(ledger) == ["expired"]


async def test_late_ones_do_not_hide_what_is_good_behind_them(ledger):
    await accepted(ledger, 8)
    await change(ledger, expires_at=LONG_AGO)
    await accept(ledger, NOTE, [ask()])
    assert (await reserved(ledger, limit=3)).size == 1
    assert await states(ledger) == ["claimed"] + ["expired"] * 8


async def test_what_is_not_due_is_not_claimed_and_says_when_it_will_be(ledger):
    due = now() + timedelta(minutes=1)
    await accept(ledger, NOTE, [ask(deliver_at=due)])
    assert await reserved(ledger) is None
    assert [lane.due_at for lane in await waiting_lanes(ledger, ["note"])] == [due]


async def test_a_claim_is_bounded_and_takes_the_oldest(ledger):
    for number in range(5):
        await accept(ledger, NOTE, [ask(str(number))])
    claim = await reserved(ledger, limit=2)
    assert [n.data["text"] for n in (await take_up(ledger, "note", claim.id)).notifications] == ["0", "1"]
    assert (await reserved(ledger)).size == 3


async def test_reserving_at_once_shares_nothing(ledger):
    await accepted(ledger, 40)
    claims = [one for one in await asyncio.gather(*(reserved(ledger, limit=15) for _ in range(6))) if one]
    while (more := await reserved(ledger, limit=15)) is not None:
        claims.append(more)
    assert sum(claim.size for claim in claims) == 40


async def test_lanes_are_told_apart_and_the_most_urgent_comes_first(ledger):
    for priority in ("bulk", "urgent", None):
        await accept(ledger, NOTE, [ask(priority=priority)])
    assert [lane.priority for lane in await waiting_lanes(ledger, ["other", "note"])] == list(Priority)
    assert (await reserve(ledger, "note", Priority.URGENT)).size == 1
    assert [lane.priority for lane in await waiting_lanes(ledger, ["note"])] == [
        Priority.NORMAL,
        Priority.BULK,
    ]


async def test_a_batch_holds_attempts_of_one_number_so_that_its_run_can_be_tagged(ledger):
    await accepted(ledger, 2)
    await change(ledger, tries=3)
    await accepted(ledger, 5)
    first, second = await reserved(ledger), await reserved(ledger)
    assert [(one.size, one.attempt) for one in (first, second)] == [(2, 4), (5, 1)]


async def test_a_held_type_is_not_claimed(ledger):
    await accepted(ledger, 1)
    await run_sql(ledger, "INSERT INTO holds VALUES ('note', 'broken template', CURRENT_TIMESTAMP)")
    assert await reserved(ledger) is None
    assert await waiting_lanes(ledger, ["note"]) == []


async def test_what_a_run_brings_along_is_accepted_and_taken_by_it_alone(ledger):
    run = uuid4()
    later = now() + timedelta(hours=1)
    batch, receipts = await accept_for_run(ledger, NOTE, [ask("a"), ask("b", deliver_at=later)], run)
    assert [receipt.state for receipt in receipts] == ["claimed", "accepted"]
    assert await reserved(ledger) is None
    assert [n.data["text"] for n in (await take_up(ledger, "note", batch)).notifications] == ["a"]


async def test_a_run_whose_batch_was_announced_uses_that_one(ledger):
    run = uuid4()
    announced = await batches.open_for_run(ledger, NOTE, run)
    again = await batches.open_for_run(ledger, NOTE, run)
    batch, _ = await accept_for_run(ledger, NOTE, [ask()], run)
    assert announced == again == batch


async def test_what_is_more_than_a_run_may_hold_goes_to_others(ledger):
    batch, _ = await accept_for_run(
        ledger, replace(NOTE, batch_size=3), [ask(to=f"r{n}") for n in range(5)], None
    )
    assert len((await take_up(ledger, "note", batch)).notifications) == 3
    assert (await reserved(ledger)).size == 2


async def test_ending_a_batch_frees_what_was_not_sent_once(ledger):
    await accepted(ledger, 3)
    claim = await reserved(ledger)
    assert await batches.end(ledger, claim.id, BatchResult.LOST)
    assert not await batches.end(ledger, claim.id, BatchResult.DONE)
    assert await states(ledger) == ["accepted"] * 3


async def test_a_batch_with_something_on_the_wire_does_not_end(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    assert not await batches.end(ledger, batch, BatchResult.DONE)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE notifications SET data = '[]' WHERE recipient_key = 'r1'",
        "UPDATE notifications SET data = 'null' WHERE recipient_key = 'r1'",
    ],
)
async def test_a_corrupted_row_fails_alone(ledger, damage):
    await accepted(ledger, 3)
    await run_sql(ledger, damage)
    claim = await reserved(ledger)
    found = await take_up(ledger, "note", claim.id)
    assert len(found.notifications) == 2
    [ended] = found.ended
    [broken] = [row for row in await rows(ledger) if row.state == "failed"]
    assert "cannot be read" in broken.reason
    assert (ended.id, ended.state, ended.reason) == (broken.id, "failed", broken.reason)


ON_SQLITE = [
    "data = '{oh'",
    "accepted_at = 'yesterday'",
    "expires_at = 'never'",
    "expires_at = 5",
    "priority = 'normal', step = -4, tries = 0",
    "step = 'two'",
    "tries = 'twice'",
    "tries = 9223372036854775807",
    "due_at = 'yesterday'",
    "due_at = ''",
    "due_at = 5",
    "due_at = '0000-00-00 00:00:00'",
    "due_at = '99999-01-01 00:00:00'",
    "due_at = CAST(x'ff' AS TEXT)",
]
ON_POSTGRES = [
    "due_at = '4000-01-01 BC'",
    "due_at = '20000-01-01'",
    "due_at = 'infinity'",
    "due_at = '-infinity'",
    "expires_at = 'infinity'",
    "expires_at = '20000-01-01'",
    "accepted_at = '-infinity'",
    "accepted_at = '0001-01-01 BC'",
]
ON_BOTH = [
    "tries = 2147483647",
    "step = 2147483647",
    "in_doubt = 2147483647",
    "priority = 'asap'",
    "priority = ''",
]


@pytest.mark.parametrize(
    ("database", "damage"),
    [("sqlite", damage) for damage in ON_SQLITE + ON_BOTH]
    + [("postgresql", damage) for damage in ON_POSTGRES + ON_BOTH],
    indirect=["database"],
)
async def test_an_absurd_row_harms_nobody_else_and_does_not_wait_for_ever(ledger, damage):
    await accepted(ledger, 3)
    await run_sql(ledger, f"UPDATE notifications SET {damage} WHERE recipient_key = 'r1'")
    found = set()
    while waiting := await waiting_lanes(ledger, ["note"]):
        claim = await reserve(ledger, "note", waiting[0].priority)
        found |= {n.recipient.key for n in (await take_up(ledger, "note", claim.id)).notifications}
    ended = await ledger.read(lambda c: c.execute(sa.text("SELECT state, reason FROM notifications")).all())
    assert found >= {"r0", "r2"}
    assert {state for state, _ in ended} <= {"claimed", "failed", "expired"}
    assert all(reason for state, reason in ended if state == "failed")


async def test_what_is_in_no_lane_goes_with_the_normal_one_and_says_so(ledger):
    await accepted(ledger, 1)
    await change(ledger, priority="asap")
    [lane] = await waiting_lanes(ledger, ["note"])
    assert lane.priority is Priority.NORMAL
    [event] = await rows(ledger, events)
    assert (event.what, event.detail) == ("moved to the normal lane", "unknown lane 'asap'")


async def test_the_items_of_a_digest_that_cannot_be_read_fail_with_it(ledger):
    batch = await bundled(ledger, "a", "b")
    await run_sql(ledger, "UPDATE notifications SET data = '[]' WHERE type = 'digest'")
    assert (await take_up(ledger, "digest", batch)).notifications == []
    assert await states(ledger) == ["failed"] * 3


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # PostgreSQL's foreign keys stay on
async def test_a_recipient_who_is_gone_fails_alone(ledger):
    await accepted(ledger, 2)
    with sqlite3.connect(ledger.engine.url.database) as outside:
        outside.execute("DELETE FROM recipients WHERE key = 'r0'")
    _, found = await taken(ledger)
    assert [n.recipient.key for n in found] == ["r1"]
    assert await states(ledger) == ["claimed", "failed"]


async def test_a_batch_knows_its_run_and_its_owner(ledger):
    await accepted(ledger, 1)
    claim, run = await reserved(ledger), uuid4()
    await take_up(ledger, "note", claim.id, flow_run_id=run)
    [row] = await rows(ledger, batch_table)
    assert (row.flow_run_id, row.size, row.owner == batches.owner()) == (run, 1, True)


async def test_a_batch_is_filled_up_with_what_came_due_in_its_lane_up_to_the_limit(ledger):
    await accepted(ledger, 2)
    claim = await reserved(ledger)
    await accept(ledger, NOTE, [ask(f"late{n}") for n in range(5)])
    found = (await take_up(ledger, "note", claim.id, limit=5)).notifications
    assert [n.recipient.key for n in found][:2] == ["r0", "r1"], "what it was made for goes first"
    assert len(found) == 5
    assert [row.size for row in await rows(ledger, batch_table)] == [5]
    rest = await reserved(ledger)
    assert rest.size == 2
    assert len((await take_up(ledger, "note", rest.id, limit=5)).notifications) == 2


@pytest.mark.parametrize(
    "different",
    [
        {"priority": "bulk"},
        {"tries": 1},
        {"due_at": now() + timedelta(hours=1)},
        {"expires_at": LONG_AGO},
        {"type": "other"},
    ],
    ids=lambda one: next(iter(one)),
)
async def test_a_batch_is_not_filled_up_with_what_is_not_of_its_kind(ledger, different):
    await accepted(ledger, 1)
    claim = await reserved(ledger)
    await accept(ledger, NOTE, [ask("late")])
    await change(ledger, notifications, notifications.c.state == "accepted", **different)
    assert len((await take_up(ledger, "note", claim.id, limit=5)).notifications) == 1


async def test_a_batch_has_so_many_bytes_and_the_rest_goes_with_the_next(ledger, monkeypatch):
    monkeypatch.setattr(claims, "MOST_BYTES", 3_200)
    for size in (1_000, 1_000, 1_000, 9_000, 10, 10):  # one by one: nothing orders what is due at once
        await accept(ledger, NOTE, [ask(text="a" * size)])
    sizes = []
    while (claim := await reserve(ledger, "note", Priority.NORMAL)) is not None:
        sizes.append(claim.size)
    assert sizes == [2, 1, 1, 2]


async def test_a_batch_is_filled_up_to_so_many_bytes(ledger, monkeypatch):
    monkeypatch.setattr(claims, "MOST_BYTES", 3_200)
    await accept(ledger, NOTE, [ask(text="a" * 1_000)])
    claim = await reserved(ledger)
    await accept(ledger, NOTE, [ask(text="a" * 1_000) for _ in range(2)])
    assert len((await take_up(ledger, "note", claim.id, limit=500)).notifications) == 2
    assert await states(ledger) == ["accepted", "claimed", "claimed"]
