"""What the dashboard reads of the ledger, on both databases."""

import re
from datetime import timedelta

import pytest
from support.ledger import accepted, change, claimed, rows
from support.plans import plans_of, statements_of

from waypost.ledger.database.tables import notifications
from waypost.ledger.operations import overview, traffic
from waypost.ledger.queue import batches
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.records import periodic_turns, process_reports
from waypost.ledger.records.process_reports import About
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)


def this_minute():
    return now().replace(second=0, microsecond=0)


async def set_one(ledger, id, **values):
    await change(ledger, notifications, notifications.c.id == id, **values)


async def test_traffic_counts_what_was_accepted_and_how_it_ended_in_each_minute(ledger):
    made = [receipt.id for receipt in await accepted(ledger, 3)]
    minute = this_minute()
    for id, state in zip(made[:2], (State.SENT, State.FAILED), strict=True):
        await set_one(ledger, id, state=state, finished_at=now() + timedelta(seconds=2), tries=1)
    found = await traffic.read(ledger, minute - timedelta(minutes=1), minute + timedelta(minutes=2))
    totals = {}
    for (_, type, what), count in found.counts.items():
        totals[type, what] = totals.get((type, what), 0) + count
    assert totals == {("note", "accepted"): 3, ("note", "sent"): 1, ("note", "failed"): 1}
    [[seconds]] = found.seconds.values()
    assert 1 < seconds < 3
    assert not (await traffic.read(ledger, minute - timedelta(hours=1), minute - timedelta(minutes=1))).counts


async def test_the_time_to_the_wire_of_a_retried_notification_begins_when_it_was_accepted(ledger):
    [receipt] = await accepted(ledger)
    retried = {"due_at": now() + timedelta(seconds=90), "tries": 2}
    await set_one(ledger, receipt.id, state=State.SENT, finished_at=now() + timedelta(seconds=91), **retried)
    found = await traffic.read(ledger, this_minute(), this_minute() + timedelta(minutes=4))
    [[seconds]] = found.seconds.values()
    assert 90 < seconds < 93


async def test_what_waits_is_told_by_type_with_the_deferred_and_their_reasons(ledger):
    made = [receipt.id for receipt in await accepted(ledger, 4)]
    due = now() + timedelta(minutes=3)
    for id in made[:2]:
        await set_one(ledger, id, state=State.DEFERRED, due_at=due, reason="<r1@a.example> is busy")
    await set_one(ledger, made[2], state=State.CLAIMED, batch_id=new_id())
    [note] = (await overview.waiting(ledger, ["note", "other"])).values()
    assert (note.count, note.deferred, note.in_hand) == (3, 2, 1)
    assert note.next_try == due
    assert note.due_at < now()
    assert note.deferred_since < now()
    assert dict(note.reasons) == {"<***@a.example> is busy": 2}


async def test_counting_what_waits_ends_at_a_limit(ledger, monkeypatch):
    monkeypatch.setattr(overview, "MOST", 3)
    overview._lanes.cache_clear()
    await accepted(ledger, 5)
    assert (await overview.waiting(ledger, ["note"]))["note"].count == 3
    overview._lanes.cache_clear()


async def test_the_last_failures_are_those_that_nobody_has_dealt_with(ledger):
    made = [receipt.id for receipt in await accepted(ledger, 6)]
    ended = {"finished_at": now(), "reason": "550 no r1@a.example"}
    await set_one(ledger, made[0], state=State.FAILED, **ended)
    await set_one(ledger, made[1], state=State.EXPIRED, **ended)
    await set_one(ledger, made[2], state=State.HELD, reason="in doubt; a person decides")
    await set_one(ledger, made[3], state=State.HELD, reason="digest")
    await set_one(ledger, made[4], state=State.CANCELLED, **ended)
    [(type, found)] = (await overview.last_failures(ledger, 20)).items()
    assert type == "note"
    assert [(one.id, one.state) for one in found] == [
        (made[2], "held"),
        (made[1], "expired"),
        (made[0], "failed"),
    ]
    assert found[2].reason == "550 no ***@a.example"
    assert "@a.example" in found[0].recipient
    assert "r2@" not in found[0].recipient


async def test_many_held_hide_no_failed(ledger):
    made = [receipt.id for receipt in await accepted(ledger, 6)]
    for id in made[:3]:
        await set_one(ledger, id, state=State.FAILED, finished_at=now(), reason="550 no")
    for id in made[3:]:
        await set_one(ledger, id, state=State.HELD, reason="in doubt; a person decides")
    found = (await overview.last_failures(ledger, 2))["note"]
    assert [(one.id, one.state) for one in found] == [
        (made[5], "held"),
        (made[4], "held"),
        (made[2], "failed"),
        (made[1], "failed"),
    ]


async def test_the_last_run_of_a_type_is_known(ledger):
    batch, _ = await claimed(ledger)
    run = new_id()
    await batches.given_run(ledger, batch, run)
    await batches.end(ledger, batch, BatchResult.DONE, "1 sent")
    last = (await overview.last_runs(ledger))["note"]
    assert (last.flow_run_id, last.summary) == (run, "1 sent")


async def test_each_look_of_the_dashboard_goes_by_an_index(ledger):
    """The ledger may have millions of rows, and the dashboard looks every few seconds."""
    await accepted(ledger, 3)
    seen = statements_of(ledger)
    await traffic.read(ledger, this_minute(), this_minute() + timedelta(minutes=1))
    await overview.waiting(ledger, ["note"])
    await overview.last_failures(ledger, 20)
    await overview.last_runs(ledger)
    asked = [one for one in seen if one[0].startswith(("SELECT", "WITH"))]
    found = dict(await plans_of(ledger, asked))
    assert len(found) == 9
    for text, plan in found.items():
        bare = re.findall(r"Seq Scan on \w+|SCAN (?:notifications|attempts|batches|recipients)\b[^']*", plan)
        assert not [one for one in bare if " USING INDEX ix_" not in one], f"{text}\n{plan}"


async def test_one_process_at_a_time_has_the_turn_and_the_next_gets_its_note(ledger):
    assert await periodic_turns.take(ledger, "dashboard", "a:1", LEASE) == {}
    await periodic_turns.note(ledger, "dashboard", "a:1", LEASE, {"told": ["x"]})
    assert await periodic_turns.take(ledger, "dashboard", "b:2", LEASE) is None
    assert await periodic_turns.take(ledger, "dashboard", "a:1", LEASE) == {"told": ["x"]}
    await periodic_turns.leave(ledger, "dashboard", "a:1")
    assert await periodic_turns.take(ledger, "dashboard", "b:2", LEASE) == {"told": ["x"]}
    assert await periodic_turns.take(ledger, "dashboard", "a:1", LEASE) is None


async def test_a_turn_ends_when_its_process_asks_no_more(ledger):
    await periodic_turns.take(ledger, "dashboard", "a:1", timedelta())
    assert await periodic_turns.take(ledger, "dashboard", "b:2", LEASE) is not None


async def test_the_reports_of_dead_processes_are_not_told(ledger, monkeypatch):
    await process_reports.write(ledger, About.CIRCUITS, "a:1", [{"provider": "smtp"}])
    await process_reports.write(ledger, About.CIRCUITS, "b:2", [{"provider": "backup"}])
    await process_reports.write(ledger, About.TEMPLATES, "b:2", [{"type": "note"}])
    assert [one["type"] for one in await process_reports.read(ledger, About.TEMPLATES)] == ["note"]
    assert sorted(one["provider"] for one in await process_reports.read(ledger, About.CIRCUITS)) == [
        "backup",
        "smtp",
    ]
    await process_reports.write(ledger, About.CIRCUITS, "b:2", [])
    assert [one["provider"] for one in await process_reports.read(ledger, About.CIRCUITS)] == ["smtp"]
    monkeypatch.setattr(process_reports, "LASTS", timedelta())
    assert await process_reports.read(ledger, About.CIRCUITS) == []
    await process_reports.forget_dead(ledger)
    from waypost.ledger.database.tables import installation

    assert not [row for row in await rows(ledger, installation) if row.name.startswith("circuits")]
