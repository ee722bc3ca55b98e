"""Retry of a run sends what failed in it once more; Cancel of a run holds what it has not sent."""

from datetime import timedelta

import pytest
from support.ledger import (
    DIGEST,
    LONG_AGO,
    NOTE,
    accepted,
    bundled,
    change,
    claimed,
    lost,
    reserved,
    rows,
    taken,
)

from waypost.ledger.database.tables import batches as batch_rows
from waypost.ledger.database.tables import events, notifications
from waypost.ledger.operations.run_retry import claim_again, earlier_try, left_alone
from waypost.ledger.operations.timeline import explain
from waypost.ledger.queue import batches, cancelled_runs, claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.cancelled_runs import HELD_BY_CANCEL, counted_by_state, hold_unsent
from waypost.ledger.queue.holds import hold, release
from waypost.ledger.queue.recorder import Recorder
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = pytest.mark.anyio
ID, KEY = notifications.c.id, notifications.c.recipient_key


async def ended_run(ledger, count=3, **states):
    """A run whose batch has ended, with the recipients `r0` and on in the given states; the run and batch."""
    run = new_id()
    await accepted(ledger, count)
    claim = await reserved(ledger)
    await claims.take_up(ledger, "note", claim.id, flow_run_id=run)
    for recipient in range(count):
        state = states.get(f"r{recipient}", "sent")
        await change(ledger, notifications, f"r{recipient}" == KEY, state=state, finished_at=now())
    await batches.end(ledger, claim.id, BatchResult.DONE, "1 failed")
    return run, claim.id


async def by_recipient(ledger):
    return {row.recipient_key: row for row in await rows(ledger)}


async def test_what_failed_or_expired_in_the_run_is_claimed_afresh_and_nothing_else(ledger):
    other, _ = await ended_run(ledger, 1, r0="failed")
    run, batch = await ended_run(ledger, 5, r0="failed", r1="expired", r2="deferred", r3="failed", r4="sent")
    await change(ledger, notifications, KEY == "r3", in_doubt=1)
    await change(ledger, notifications, KEY != "r2", expires_at=LONG_AGO, tries=3, step=1)
    earlier = await earlier_try(ledger, run, batch)
    assert (earlier.batches, earlier.summary) == ((batch,), "1 failed")
    again = await claim_again(ledger, NOTE, earlier, run)
    taken_up = await claims.take_up(ledger, "note", again, flow_run_id=run)
    assert sorted(one.recipient.key for one in taken_up.notifications) == ["r0", "r1"]
    assert {(one.step, one.tries) for one in taken_up.notifications} == {(0, 3)}
    assert all(one.expires_at > now() + timedelta(minutes=59) for one in taken_up.notifications)
    left = await left_alone(ledger, NOTE, earlier, again)
    assert left == {State.FAILED: 1, State.DEFERRED: 1, State.SENT: 1}
    noted = [row.detail for row in await rows(ledger, events) if row.what == "retried"]
    assert sorted(noted) == [
        "by Retry of its run in Prefect; it was expired",
        "by Retry of its run in Prefect; it was failed",
    ]
    assert (await earlier_try(ledger, other, None)).batches != (batch,)


async def test_the_timeline_keeps_the_end_of_the_first_try_and_tells_the_retry_before_its_claim(ledger):
    batch, [one] = await claimed(ledger, 1)
    run, refused = new_id(), Outcome(Verdict.REFUSED, Phase.RCPT, 550, "5.1.1", "no such user")
    recorder = Recorder(ledger)
    begin = AttemptStarted(one.id, batch, "email", "smtp", run)
    await recorder.begin(begin)
    decision = Decision(State.FAILED, "failed at rcpt: 550")
    await recorder.finish(AttemptFinished(one.id, batch, decision, 0, begin.id, refused))
    await batches.end(ledger, batch, BatchResult.DONE, "1 failed", run)
    again = await claim_again(ledger, NOTE, await earlier_try(ledger, run, batch), run)
    await claims.take_up(ledger, "note", again, flow_run_id=run)
    lines = (await explain(ledger, one.id)).timeline
    assert [(line.what, line.detail) for line in lines][4:7] == [
        ("attempt 1 refused", "550 5.1.1 no such user (at rcpt)"),
        ("failed", "at rcpt: 550"),
        ("retried", "by Retry of its run in Prefect; it was failed: failed at rcpt: 550"),
    ]
    assert [line.what for line in lines][7:9] == ["claimed", "started by its run"]


async def test_a_run_that_took_nothing_up_has_no_earlier_try(ledger):
    claim_of_none = await earlier_try(ledger, new_id(), None)
    await accepted(ledger)
    claim = await reserved(ledger)
    assert (claim_of_none, await earlier_try(ledger, new_id(), claim.id)) == (None, None)


async def test_a_worker_killed_after_the_claim_loses_nothing_and_sends_nothing_twice(ledger):
    run, batch = await ended_run(ledger, 2, r0="failed")
    again = await claim_again(ledger, NOTE, await earlier_try(ledger, run, batch), run)
    [reclaimed] = await lost(ledger)
    assert (reclaimed.batch, reclaimed.free) == (again, 1)
    found = await by_recipient(ledger)
    assert (found["r0"].state, found["r1"].state) == ("accepted", "sent")
    left = await left_alone(ledger, NOTE, await earlier_try(ledger, run, batch), again)
    assert left == {State.ACCEPTED: 1, State.SENT: 1}


async def test_a_second_retry_covers_what_failed_in_the_first(ledger):
    run, batch = await ended_run(ledger, 1, r0="failed")
    first = await claim_again(ledger, NOTE, await earlier_try(ledger, run, batch), run)
    await claims.take_up(ledger, "note", first, flow_run_id=run)
    await change(ledger, state="failed", finished_at=now())
    await batches.end(ledger, first, BatchResult.DONE, "1 failed")
    earlier = await earlier_try(ledger, run, batch)
    assert earlier.batches == (batch, first)
    second = await claim_again(ledger, NOTE, earlier, run)
    assert len((await claims.take_up(ledger, "note", second)).notifications) == 1


async def test_a_suspect_goes_out_with_a_run_of_its_own(ledger):
    run, batch = await ended_run(ledger, 2, r0="failed", r1="failed")
    await change(ledger, notifications, KEY == "r1", suspicion=9)
    again = await claim_again(ledger, NOTE, await earlier_try(ledger, run, batch), run)
    found = await by_recipient(ledger)
    assert (found["r0"].state, found["r0"].batch_id) == ("claimed", again)
    assert (found["r1"].state, (await reserved(ledger)).size) == ("accepted", 1)


async def test_the_items_of_a_digest_are_retried_with_it(ledger):
    run = new_id()
    batch = await bundled(ledger, "one", "two")
    [digest] = (await claims.take_up(ledger, "digest", batch, flow_run_id=run)).notifications
    await change(ledger, state="failed", finished_at=now())
    await batches.end(ledger, batch, BatchResult.DONE, "1 failed")
    again = await claim_again(ledger, DIGEST, await earlier_try(ledger, run, batch), run)
    found = {row.id: row for row in await rows(ledger)}
    assert (found[digest.id].state, found[digest.id].batch_id) == ("claimed", again)
    assert {row.state for row in found.values()} == {"claimed"}


async def test_cancel_holds_what_is_claimed_or_deferred_by_the_run_and_ends_its_batch(ledger):
    batch, notes = await claimed(ledger, 4)
    sent, deferred, *_ = notes
    await change(ledger, notifications, sent.id == ID, state="sent", finished_at=now())
    await change(ledger, notifications, deferred.id == ID, state="deferred")
    assert await hold_unsent(ledger, batch, [one.id for one in notes]) == 3
    assert await hold_unsent(ledger, batch, [one.id for one in notes]) == 0
    found = [(row.state, row.reason) for row in await rows(ledger)]
    assert sorted(found) == [*[("held", HELD_BY_CANCEL)] * 3, ("sent", "")]
    assert [row.ending for row in await rows(ledger, batch_rows)] == ["cancelled"]
    assert await reserved(ledger) is None, "no run takes what is held"


async def test_the_count_by_state_covers_every_notification(ledger, monkeypatch):
    monkeypatch.setattr(cancelled_runs, "COUNTED_AT_ONCE", 2)
    _, notes = await claimed(ledger, 5)
    await change(ledger, notifications, notes[0].id == ID, state="sent", finished_at=now())
    ids = [one.id for one in notes]
    assert await counted_by_state(ledger, ids) == {State.SENT: 1, State.CLAIMED: 4}
    assert not await counted_by_state(ledger, [])


async def test_what_is_on_the_wire_when_its_run_is_cancelled_is_left_to_the_lease(ledger):
    batch, [note] = await claimed(ledger)
    recorder = Recorder(ledger)
    await recorder.begin(AttemptStarted(note.id, batch, "email", "smtp", None))
    assert await hold_unsent(ledger, batch, [note.id]) == 0
    [reclaimed] = await lost(ledger)
    assert (reclaimed.free, reclaimed.in_doubt) == (0, 1)


async def test_what_a_cancelled_run_held_is_sent_by_its_retry(ledger):
    batch, notes = await claimed(ledger, 2)
    run = new_id()
    await hold_unsent(ledger, batch, [one.id for one in notes])
    again = await claim_again(ledger, NOTE, await earlier_try(ledger, run, batch), run)
    assert len((await claims.take_up(ledger, "note", again)).notifications) == 2


async def test_a_type_held_meanwhile_is_not_sent_by_a_retry(ledger):
    run, batch = await ended_run(ledger, 1, r0="failed")
    await hold(ledger, "note", "a flood")
    again = await claim_again(ledger, NOTE, await earlier_try(ledger, run, batch), run)
    assert (await claims.take_up(ledger, "note", again)).notifications == []
    await release(ledger, "note")
    assert len((await taken(ledger))[1]) == 1
