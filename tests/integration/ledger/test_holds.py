"""Types a person has stopped."""

import asyncio
from datetime import timedelta

import pytest
from support.ledger import (
    LONG_AGO,
    NOTE,
    accepted,
    ask,
    bundled,
    change,
    changed_per_transaction,
    claimed,
    reserved,
    rows,
)

from waypost.ledger.database.steps import MOST
from waypost.ledger.database.tables import events, released_holds
from waypost.ledger.intake import accept
from waypost.ledger.operations.retention import prune
from waypost.ledger.queue import claims
from waypost.ledger.queue.attempts import AttemptStarted
from waypost.ledger.queue.holds import held_types, hold, release
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.queue.waiting_lanes import waiting_lanes
from waypost.system.clock import now

pytestmark = pytest.mark.anyio


async def test_what_comes_due_while_a_run_takes_its_batch_up_is_not_sent_of_a_type_held_meanwhile(ledger):
    for round in range(20):
        await release(ledger, "note")
        await accepted(ledger, 1)
        claim = await reserved(ledger, limit=1)
        await accepted(ledger, 100)

        async def hold_soon(round=round):
            await asyncio.sleep(0.001 * round)
            await hold(ledger, "note")

        await asyncio.gather(claims.take_up(ledger, "note", claim.id, limit=500), hold_soon())
        assert {row.state for row in await rows(ledger)} == {"accepted"}


async def test_a_running_run_stops_after_the_message_on_the_wire(ledger):
    batch, [first, second, third] = await claimed(ledger, 3)
    recorder = Recorder(ledger)
    assert await recorder.begin(AttemptStarted(first.id, batch, "email", "smtp", None)) == 1
    done = await hold(ledger, "note", "wrong price")
    assert (done.taken_back, done.waiting, done.sending) == (2, 2, 1)
    for one in (second, third):
        assert await recorder.begin(AttemptStarted(one.id, batch, "email", "smtp", None)) == 0


@pytest.mark.parametrize(("count", "size"), [(2200, 3), (60, 200_000)])
async def test_no_transaction_takes_back_more_than_a_step(ledger, count, size):
    await accept.accept(ledger, NOTE, [ask("x" * size) for _ in range(count)])
    while await reserved(ledger):
        pass
    with changed_per_transaction(ledger) as changed:
        done = await hold(ledger, "note")
    assert (done.taken_back, done.waiting) == (count, count)
    # PostgreSQL stores this text compressed.
    assert max(changed) <= (50 if size > 3 and not ledger.is_postgres else MOST)


async def test_what_is_held_is_neither_offered_nor_claimed_until_released(ledger):
    await accepted(ledger, 2)
    assert (await hold(ledger, "note")).waiting == 2
    assert await waiting_lanes(ledger, ["note"]) == []
    assert await reserved(ledger) is None
    assert (await release(ledger, "note")).due == 2
    assert (await reserved(ledger)).size == 2


async def test_both_may_be_repeated_and_the_first_moment_stays(ledger):
    first = await hold(ledger, "note", "wrong price")
    again = await hold(ledger, "note")
    assert (first.already, again.already, again.hold) == (False, True, first.hold)
    assert (await hold(ledger, "note", "wrong tax")).hold.reason == "wrong tax"
    assert [one.reason for one in await held_types(ledger)] == ["wrong tax"]
    assert (await release(ledger, "note")).hold is not None
    assert (await release(ledger, "note")).hold is None


async def test_a_hold_that_is_over_is_kept_as_long_as_what_has_ended(ledger):
    await hold(ledger, "note", "wrong price")
    await asyncio.gather(*(release(ledger, "note") for _ in range(3)))
    assert [one.reason for one in await rows(ledger, released_holds)] == ["wrong price"]
    await prune(ledger, 1)
    assert len(await rows(ledger, released_holds)) == 1
    await change(ledger, released_holds, released_at=LONG_AGO)
    await prune(ledger, 1)
    assert await rows(ledger, released_holds) == []


async def test_what_is_not_due_waits_on_after_a_release(ledger):
    await accepted(ledger, 1, deliver_at=now() + timedelta(hours=1))
    await hold(ledger, "note")
    done = await release(ledger, "note")
    assert (done.due, done.waiting) == (0, 1)


async def test_a_batch_claimed_just_before_the_hold_is_not_taken_up(ledger):
    await accepted(ledger, 2)
    claim = await reserved(ledger)
    await hold(ledger, "note")
    await change(ledger, state="claimed", batch_id=claim.id)  # as a claim that commits after the hold
    taken = await claims.take_up(ledger, "note", claim.id)
    assert (taken.notifications, "held" in taken.reason) == ([], True)
    assert {(row.state, row.batch_id) for row in await rows(ledger)} == {("accepted", None)}


async def test_what_a_run_brings_of_a_held_type_waits_too(ledger):
    await hold(ledger, "note", "not now")
    batch, _ = await accept.accept_for_run(ledger, NOTE, [ask()], None)
    assert (await claims.take_up(ledger, "note", batch)).notifications == []
    await release(ledger, "note")
    assert (await reserved(ledger)).size == 1


async def test_what_waits_for_a_digest_or_is_in_one_is_untouched(ledger):
    await bundled(ledger, "a")
    await accept.accept(ledger, NOTE, [ask(digest=True)])
    assert (await hold(ledger, "note")).taken_back == 0
    assert [row.state for row in await rows(ledger) if row.type == "note"] == ["claimed", "held"]


async def test_what_is_taken_back_says_so(ledger):
    await claimed(ledger)
    await hold(ledger, "note", "wrong price")
    [event] = await rows(ledger, events)
    assert (event.what, event.detail) == ("returned: its type is held", "wrong price")


async def test_a_hold_while_runs_claim_and_begin_leaves_nothing_in_their_hands(ledger):
    await accepted(ledger, 30)
    recorder = Recorder(ledger)

    async def run():
        while claim := await reserved(ledger, limit=5):
            for one in (await claims.take_up(ledger, "note", claim.id)).notifications:
                await recorder.begin(AttemptStarted(one.id, claim.id, "email", "smtp", None))

    runs = [asyncio.create_task(run()) for _ in range(3)]
    await asyncio.sleep(0.02)
    await hold(ledger, "note")
    await asyncio.gather(*runs)
    assert {row.state for row in await rows(ledger)} <= {"accepted", "sending"}
    assert await reserved(ledger) is None
