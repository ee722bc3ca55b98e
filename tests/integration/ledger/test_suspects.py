"""A notification that ends its runs is found by halves, fails alone, and harms no other."""

import logging
from datetime import timedelta

import pytest
from support.ledger import (
    DIGEST,
    LONG_AGO,
    NOTE,
    accepted,
    ask,
    bundled,
    change,
    claimed,
    lost,
    reserved,
    rows,
    taken,
)

from waypost.ledger.database.tables import batches as batch_table
from waypost.ledger.database.tables import events, notifications
from waypost.ledger.intake.accept import accept
from waypost.ledger.operations import retry_cancel
from waypost.ledger.operations.search import Filter
from waypost.ledger.queue import batches, claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.claims import take_up
from waypost.ledger.queue.reaper import Lapsed, give_back, reclaim
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.queue.suspects import suspects
from waypost.model.states import State
from waypost.policy.poison_item import ALONE, FAILURES, SUSPECT
from waypost.policy.retry import Decision
from waypost.system.clock import now

pytestmark = pytest.mark.anyio
KIND = "RecursionError"
BY_NOW = {"accepted", "deferred"}


async def run(ledger, poison="poison"):
    """A run of what is due: it fails when it has `poison`, before it sends anything. What it held."""
    claim = await reserved(ledger)
    if claim is None:
        return 0
    found = (await take_up(ledger, "note", claim.id, limit=NOTE.batch_size)).notifications
    if poison in (one.data["text"] for one in found):
        await give_back(ledger, claim.id, NOTE, KIND)
    else:
        await send(ledger, claim.id, found)
    return len(found)


async def send(ledger, batch, found):
    recorder = Recorder(ledger)
    for one in found:
        await recorder.begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await recorder.finish_all([AttemptFinished(one.id, batch, Decision(State.SENT)) for one in found])
    await batches.end(ledger, batch, BatchResult.DONE)


async def until_all_have_ended(ledger, run):
    """The sizes of the runs it takes, with the pauses between them left out."""
    sizes = []
    while {row.state for row in await rows(ledger)} & BY_NOW:
        await change(ledger, due_at=LONG_AGO)
        sizes.append(await run(ledger))
        assert len(sizes) < 60
    return sizes


async def test_a_poisoned_notification_fails_alone_with_a_reason_and_all_others_are_sent(ledger):
    await accepted(ledger, 60)
    await accept(ledger, NOTE, [ask("poison")])
    await accepted(ledger, 60)
    sizes = await until_all_have_ended(ledger, run)
    found = {row.state: row for row in await rows(ledger)}
    assert sorted(row.state for row in await rows(ledger)) == ["failed"] + ["sent"] * 120
    assert found["failed"].data["text"] == "poison"
    assert found["failed"].reason == (
        "3 runs failed (RecursionError) with only this notification in them; read their logs, fix the "
        "cause, then run `waypost retry`"
    )
    assert sizes[0] == 121
    assert len(sizes) < 3 * (121).bit_length(), sizes


async def test_what_is_accepted_meanwhile_is_in_no_batch_with_suspects(ledger):
    await accept(ledger, NOTE, [ask("poison"), ask("beside it")])
    assert await run(ledger) == 2
    await accepted(ledger, 5)
    assert [await run(ledger) for _ in range(2)] == [5, 0], "the suspects wait a moment, for the others"
    await change(ledger, due_at=LONG_AGO)
    await accepted(ledger, 5)
    assert [await run(ledger) for _ in range(3)] == [1, 1, 5]


async def test_a_batch_is_not_filled_up_with_suspects_nor_beyond_its_half(ledger):
    await accepted(ledger, 8)
    await change(ledger, suspicion=8)  # of 1,000, three go together
    claim = await reserved(ledger)
    await accepted(ledger, 4)
    assert len((await take_up(ledger, "note", claim.id, limit=NOTE.batch_size)).notifications) == 3
    fresh = await reserved(ledger)
    assert (fresh.size, fresh.suspicion) == (3, 8), "the oldest first"


@pytest.mark.parametrize("moved", ["an attempt", "a decision without one"])
async def test_a_run_that_comes_to_it_clears_it(ledger, moved):
    await accepted(ledger, 1)
    await change(ledger, suspicion=5)
    batch, [one] = await taken(ledger)
    if moved == "an attempt":
        await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    else:
        later = Decision(State.DEFERRED, "no provider", now() + timedelta(minutes=1))
        await Recorder(ledger).finish(AttemptFinished(one.id, batch, later))
    assert [row.suspicion for row in await rows(ledger)] == [0]


async def test_a_death_makes_what_its_run_had_not_come_to_suspect_and_nothing_else(ledger):
    batch, [one, *_] = await claimed(ledger, 3)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await accepted(ledger, 2)
    await reserved(ledger)  # set aside, and never taken up
    await lost(ledger)
    assert sorted(row.suspicion for row in await rows(ledger)) == [0, 0, 0, 1, 1]
    assert [row.suspicion for row in await rows(ledger) if row.id == one.id] == [0]


async def test_a_worker_that_ends_its_batch_makes_nothing_suspect(ledger):
    batch, _ = await claimed(ledger, 3)
    await batches.end(ledger, batch, BatchResult.LOST)
    assert [row.suspicion for row in await rows(ledger)] == [0] * 3


async def test_deaths_never_fail_it_and_its_pauses_grow(ledger, caplog):
    caplog.set_level(logging.ERROR)
    await accepted(ledger, 1)
    waits = []
    for number in range(12):
        await change(ledger, due_at=LONG_AGO)
        batch, [one] = await taken(ledger)
        await change(ledger, batch_table, leased_until=LONG_AGO)
        began = now()
        await reclaim(ledger, Lapsed(batch, LONG_AGO), {"note": NOTE})
        [row] = await rows(ledger)
        waits.append((row.due_at - began).total_seconds() if row.state == "deferred" else 0)
        assert row.state in BY_NOW
        assert (str(one.id) in caplog.text) == (number + 1 >= SUSPECT)
    assert waits[0] == 0
    assert 5 <= waits[1] < 11
    assert 600 <= waits[-1] <= 1200
    assert "its runs crash the worker before its first attempt; it goes out again alone" in caplog.text


async def test_how_its_runs_ended_is_on_its_timeline(ledger):
    await accept(ledger, NOTE, [ask("poison"), ask("beside it")])
    await run(ledger)
    told = {(event.what, event.detail) for event in await rows(ledger, events)}
    assert told == {("run failed", "its run failed (RecursionError); it goes out again alone")}
    assert {(row.ending, row.summary) for row in await rows(ledger, batch_table)} == {("failed", KIND)}


async def test_suspects_are_named_while_they_last_the_most_suspect_first(ledger):
    await accepted(ledger, 9)
    [worst, once, *_] = await rows(ledger)
    assert await suspects(ledger) == (0, [])
    await change(ledger, suspicion=SUSPECT, reason="its run failed")
    await change(ledger, notifications, notifications.c.id == worst.id, suspicion=SUSPECT + 1)
    await change(ledger, notifications, notifications.c.id == once.id, suspicion=SUSPECT - 1)
    count, named = await suspects(ledger)
    assert (count, len(named), named[0].id, named[0].reason) == (8, 5, worst.id, "its run failed")
    assert once.id not in {one.id for one in named}
    await change(ledger, state="failed")
    assert await suspects(ledger) == (0, [])


async def test_after_a_person_corrected_the_cause_a_retry_sends_it_alone(ledger):
    await accept(ledger, NOTE, [ask("poison")])
    await until_all_have_ended(ledger, run)
    await retry_cancel.retry(ledger, Filter(), {"note": NOTE.deadline})
    await accepted(ledger, 3)
    await run(ledger, poison="none")
    assert sorted((row.state, row.suspicion) for row in await rows(ledger)) == [("accepted", 0)] * 3 + [
        ("sent", 0)
    ]


async def test_a_retry_gives_it_as_many_runs_as_before(ledger):
    await accept(ledger, NOTE, [ask("poison")])
    await change(ledger, suspicion=ALONE + FAILURES - 1, state="deferred")
    await retry_cancel.retry(ledger, Filter(), {"note": NOTE.deadline})
    assert len(await until_all_have_ended(ledger, run)) == FAILURES


async def test_the_items_of_a_digest_fail_with_it(ledger):
    batch = await bundled(ledger, "a", "b")
    await change(ledger, notifications, notifications.c.type == "digest", suspicion=ALONE + FAILURES - 1)
    await claims.take_up(ledger, "digest", batch)
    await give_back(ledger, batch, DIGEST, KIND)
    assert [row.state for row in await rows(ledger)] == ["failed"] * 3


async def test_a_failed_run_leaves_what_was_on_the_wire_in_doubt(ledger):
    batch, [one, _] = await claimed(ledger, 2)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await give_back(ledger, batch, NOTE, KIND)
    assert sorted((row.state, row.in_doubt, row.suspicion > 0) for row in await rows(ledger)) == [
        ("deferred", 0, True),
        ("deferred", 1, False),
    ]


async def test_giving_back_what_has_ended_changes_nothing(ledger):
    batch, _ = await claimed(ledger)
    await batches.end(ledger, batch, BatchResult.DONE)
    await give_back(ledger, batch, NOTE, KIND)
    [row], [ended] = await rows(ledger), await rows(ledger, batch_table)
    assert (row.suspicion, ended.ending) == (0, "done")
