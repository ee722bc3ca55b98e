"""What two processes do to one batch at the same moment, on the database that lets them."""

import asyncio
import random

import pytest
import sqlalchemy as sa
from support.ledger import (
    LONG_AGO,
    NOTE,
    after_the_next_statement,
    ask,
    attempt_rows,
    change,
    claimed,
    reserved,
    rows,
    until_one_waits_for_a_lock,
)

from waypost.ledger.database import lock_numbers
from waypost.ledger.database.tables import attempts, batches, notifications
from waypost.ledger.intake.accept import accept_for_run
from waypost.ledger.queue import holds
from waypost.ledger.queue.attempts import AttemptStarted
from waypost.ledger.queue.batches import BatchResult, end, open_for_run
from waypost.ledger.queue.reaper import Lapsed, Reaper, reclaim
from waypost.ledger.queue.recorder import Recorder
from waypost.ledger.records import webhooks
from waypost.model.outcome import Verdict
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["postgresql"], indirect=True)]
TYPES = {"note": NOTE}


async def lapsed_for(ledger, run):
    """The batch announced for a run, whose worker gave no sign of life for long."""
    batch = await open_for_run(ledger, NOTE, run)
    await change(ledger, batches, batches.c.id == batch, leased_until=LONG_AGO)
    return Lapsed(batch, LONG_AGO)


async def in_ended_batches(ledger):
    ended = {row.id for row in await rows(ledger, batches) if row.ended_at}
    return [row.state for row in await rows(ledger) if row.batch_id in ended and row.state != "accepted"]


async def test_a_batch_reclaimed_while_its_run_accepts_holds_nothing_of_it(ledger):
    run = new_id()
    lapsed = await lapsed_for(ledger, run)
    after_the_next_statement(ledger, lambda elsewhere: reclaim(elsewhere, lapsed, TYPES))
    batch, [receipt] = await accept_for_run(ledger, NOTE, [ask()], run)
    assert (receipt.state, batch == lapsed.id) == ("claimed", False)
    assert await in_ended_batches(ledger) == []


async def test_reclaimed_at_any_moment_of_an_accept_nothing_stays_in_an_ended_batch(ledger):
    for _ in range(25):
        run = new_id()
        lapsed = await lapsed_for(ledger, run)

        async def reclaim_soon(lapsed=lapsed):
            await asyncio.sleep(random.uniform(0, 0.03))
            await reclaim(ledger, lapsed, TYPES)

        requests = [ask(to=f"r{number}") for number in range(50)]
        await asyncio.gather(accept_for_run(ledger, NOTE, requests, run), reclaim_soon())
    assert await in_ended_batches(ledger) == []


async def test_a_batch_in_which_an_attempt_just_begins_does_not_end(ledger):
    batch, [one] = await claimed(ledger)
    begin = AttemptStarted(one.id, batch, "email", "smtp", None)
    after_the_next_statement(ledger, lambda elsewhere: Recorder(elsewhere).begin(begin))
    assert not await end(ledger, batch, BatchResult.DONE)
    [row], [state] = await rows(ledger, batches), [row.state for row in await rows(ledger)]
    assert (row.ended_at, state) == (None, "sending")


async def test_an_outcome_written_while_its_batch_is_reclaimed_stands(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await change(ledger, batches, leased_until=LONG_AGO)
    async with ledger.engine.connect() as recording:
        await recording.execute(
            sa.update(attempts).values(verdict=Verdict.ACCEPTED, words="queued", finished_at=now())
        )
        await recording.execute(sa.update(notifications).values(state=State.SENT, finished_at=now()))
        reclaiming = asyncio.create_task(reclaim(ledger, Lapsed(batch, LONG_AGO), TYPES))
        await until_one_waits_for_a_lock(ledger)
        await recording.commit()
    found = await reclaiming
    [row], [attempt] = await rows(ledger), await attempt_rows(ledger)
    assert (found.free, found.in_doubt, row.state, attempt.words) == (0, 0, "sent", "queued")


async def test_a_message_put_back_while_its_batch_is_reclaimed_is_free(ledger):
    """Its provider would not open: between the look for what is claimed and the look for what is sent, it
    moves from the second to the first."""
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await change(ledger, batches, leased_until=LONG_AGO)
    async with ledger.engine.connect() as recording:
        await recording.execute(
            sa.update(attempts).values(verdict=Verdict.DEFERRED, words="refused", finished_at=now())
        )
        await recording.execute(sa.update(notifications).values(state=State.CLAIMED))
        reclaiming = asyncio.create_task(reclaim(ledger, Lapsed(batch, LONG_AGO), TYPES))
        await until_one_waits_for_a_lock(ledger)
        await recording.commit()
    assert (await reclaiming).free == 1
    assert await in_ended_batches(ledger) == []


async def test_two_reapers_free_what_is_stranded_once(ledger, caplog):
    batch, [one, _] = await claimed(ledger, 2)
    await Recorder(ledger).begin(AttemptStarted(one.id, batch, "email", "smtp", None))
    await change(ledger, batches, ended_at=now(), ending="done")
    await asyncio.gather(*(Reaper(ledger, TYPES).look() for _ in range(2)))
    assert sorted(row.state for row in await rows(ledger)) == ["accepted", "deferred"]
    assert [row.in_doubt for row in await rows(ledger) if row.id == one.id] == [1]
    assert caplog.text.count("had ended with claimed notifications: 1 are free again, 1 are in doubt") == 1
    assert (await reserved(ledger)) is not None


async def test_a_webhook_of_a_client_named_like_a_type_waits_for_no_hold_of_the_type(ledger):
    async with ledger.engine.connect() as holding:
        await holding.run_sync(holds.lock_holds, NOTE.name)
        async with asyncio.timeout(5):
            made = await webhooks.create(
                ledger, b"a key of sixteen or more", NOTE.name, "https://a.example/hook"
            )
    assert [made.id] == [row.id for row in await webhooks.every(ledger, NOTE.name)]


async def test_no_two_purposes_share_the_number_of_an_advisory_lock(ledger):
    numbers = {name: number for name, number in vars(lock_numbers).items() if name.isupper()}
    assert len({*numbers.values()}) == len(numbers) > 1
