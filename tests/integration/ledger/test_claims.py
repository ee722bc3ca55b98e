"""Handing out: exclusively, with a lease, and again when a run is lost."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledgers import LONG_AGO, NOTE, accepted, ask, attempt_rows, change, claimed, rows
from uuid_utils.compat import uuid7

from waypost.clock import now
from waypost.ledger.claims import claim, keeping, reserve, types_due
from waypost.ledger.intake import accept
from waypost.ledger.recorder import Begin, Finish, Recorder
from waypost.policy import Decision
from waypost.states import State

pytestmark = pytest.mark.anyio


def begin(notification, batch):
    return Begin(notification.id, batch, "email", "smtp", None)


async def states(ledger):
    return sorted(row.state for row in await rows(ledger))


async def test_a_run_claims_what_was_reserved_for_it_with_its_recipient(ledger):
    batch = uuid7()
    await accepted(ledger, 3, batch)
    taken = await claim(ledger, "note", batch)
    assert [n.recipient.email for n in taken] == ["r0@a.example", "r1@a.example", "r2@a.example"]
    assert await states(ledger) == ["claimed"] * 3


async def test_two_workers_given_the_same_run_share_nothing(ledger):
    batch = uuid7()
    await accepted(ledger, 40, batch)
    both = await asyncio.gather(*(claim(ledger, "note", batch) for _ in range(4)))
    ids = [n.id for taken in both for n in taken]
    assert len(ids) == len(set(ids)) == 40


async def test_a_batch_of_another_type_or_of_none_holds_nothing(ledger):
    batch = uuid7()
    await accepted(ledger, 1, batch)
    assert await claim(ledger, "other", batch) == []
    assert await claim(ledger, "note", uuid7()) == []
    assert await states(ledger) == ["accepted"]


async def test_what_is_past_its_deadline_expires_instead(ledger):
    batch = uuid7()
    await accepted(ledger, 1, batch)
    await change(ledger, expires_at=LONG_AGO)
    assert await claim(ledger, "note", batch) == []
    [row] = await rows(ledger)
    assert (row.state, row.finished_at is not None) == ("expired", True)


async def test_what_is_not_due_is_not_claimed(ledger):
    batch = uuid7()
    await accept(ledger, NOTE, [ask(deliver_at=now() + timedelta(minutes=1))], batch)
    assert await claim(ledger, "note", batch) == []
    assert await types_due(ledger) == []


async def test_a_claim_is_bounded_and_takes_the_oldest(ledger):
    batch = uuid7()
    receipts = await accepted(ledger, 5, batch)
    taken = await claim(ledger, "note", batch, limit=2)
    assert [n.id for n in taken] == [receipt.id for receipt in receipts[:2]]
    assert (await reserve(ledger, "note"))[1] == 3, "the rest is free for other runs"


async def test_what_is_reserved_for_a_run_is_nobody_elses_until_the_lease_lapses(ledger):
    await accepted(ledger, 1, uuid7())
    assert await types_due(ledger) == []
    assert (await reserve(ledger, "note"))[1] == 0
    await change(ledger, leased_until=LONG_AGO)
    assert await types_due(ledger) == ["note"]
    batch, count = await reserve(ledger, "note")
    assert (count, len(await claim(ledger, "note", batch))) == (1, 1)


async def test_reserving_at_once_shares_nothing(ledger):
    await accepted(ledger, 40)
    reserved = await asyncio.gather(*(reserve(ledger, "note", limit=15) for _ in range(6)))
    assert sum(count for _, count in reserved) == 40


async def test_the_work_of_a_lost_run_comes_back_once(ledger):
    await claimed(ledger, 20)
    await change(ledger, leased_until=LONG_AGO)
    reapers = await asyncio.gather(reserve(ledger, "note"), reserve(ledger, "note"))
    batch, _ = max(reapers, key=lambda reserved: reserved[1])
    assert sorted(count for _, count in reapers) == [0, 20]
    assert len(await claim(ledger, "note", batch)) == 20


async def test_what_was_half_sent_is_marked_unknown_and_goes_once_more(ledger):
    batch, [lost] = await claimed(ledger)
    await Recorder(ledger).begin(begin(lost, batch))
    await change(ledger, leased_until=LONG_AGO)
    batch, _ = await reserve(ledger, "note")
    [again] = await claim(ledger, "note", batch)
    [attempt] = await attempt_rows(ledger)
    assert (again.id, again.in_doubt, attempt.verdict) == (lost.id, 1, "unknown")


async def test_in_doubt_a_second_time_a_person_decides(ledger):
    for _ in range(2):
        if not await rows(ledger):
            batch, [lost] = await claimed(ledger)
        else:
            batch, _ = await reserve(ledger, "note")
            [lost] = await claim(ledger, "note", batch)
        await Recorder(ledger).begin(begin(lost, batch))
        await change(ledger, leased_until=LONG_AGO)
    assert (await reserve(ledger, "note"))[1] == 0
    [row] = await rows(ledger)
    assert (row.state, row.in_doubt) == ("held", 2)
    assert "in doubt" in row.reason


async def test_a_run_that_lost_its_work_cannot_send_it(ledger):
    batch, [mine] = await claimed(ledger)
    await change(ledger, leased_until=LONG_AGO)
    await reserve(ledger, "note")
    assert await Recorder(ledger).begin(begin(mine, batch)) == 0
    assert await attempt_rows(ledger) == []


async def test_a_long_run_keeps_its_lease(ledger):
    ledger.lease = timedelta(seconds=0.3)
    batch, _ = await claimed(ledger)
    async with keeping(ledger, batch):
        await asyncio.sleep(0.5)
        assert (await reserve(ledger, "note"))[1] == 0
    await asyncio.sleep(0.4)
    assert (await reserve(ledger, "note"))[1] == 1


async def test_a_renewal_that_fails_is_tried_again(ledger):
    ledger.lease = timedelta(seconds=0.6)
    batch, _ = await claimed(ledger)
    async with keeping(ledger, batch):
        async with ledger.write() as connection:
            await connection.execute(sa.text("ALTER TABLE notifications RENAME TO elsewhere"))
        await asyncio.sleep(0.3)
        async with ledger.write() as connection:
            await connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO notifications"))
        await asyncio.sleep(0.7)
        assert (await reserve(ledger, "note"))[1] == 0


async def test_renewing_and_recording_at_once_never_deadlock(ledger):
    ledger.lease = timedelta(seconds=0.03)
    batch, many = await claimed(ledger, 200)
    recorder = Recorder(ledger)
    async with keeping(ledger, batch):
        numbers = await asyncio.gather(*(recorder.begin(begin(one, batch)) for one in many))
        await recorder.finish_all([Finish(one.id, batch, Decision(State.SENT)) for one in many])
    assert set(numbers) == {1}
    assert await states(ledger) == ["sent"] * 200
