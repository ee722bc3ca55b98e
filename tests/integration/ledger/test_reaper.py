"""What a lost run held comes back: once, and only when it is lost."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from support.ledger import LONG_AGO, NOTE, attempt_rows, change, claimed, lost, reserved, rows, run_sql, taken

from waypost import Doubt
from waypost.ledger.database.ledger import LEASE
from waypost.ledger.database.tables import batches, events
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.leases import Leases, renew
from waypost.ledger.queue.reaper import Lapsed, Reaper, reclaim
from waypost.ledger.queue.recorder import Recorder
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision
from waypost.system.clock import now, use_clock

pytestmark = pytest.mark.anyio
TYPES = {"note": NOTE}


def begin(notification, batch):
    return AttemptStarted(notification.id, batch, "email", "smtp", None)


class Steady:
    """A clock that is moved by hand."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


async def looks(reaper, steady, times):
    """What a reaper takes back that looks so often, eight times a lease."""
    found = await reaper.look()
    for _ in range(times):
        steady.time += LEASE.total_seconds() / 8
        found += await reaper.look()
    return found


async def test_the_work_of_a_lost_run_comes_back_once_with_two_reapers_racing(ledger):
    batch, _ = await claimed(ledger, 20)
    await change(ledger, batches, leased_until=LONG_AGO)
    lapsed = Lapsed(batch, LONG_AGO)
    both = await asyncio.gather(*(reclaim(ledger, lapsed, TYPES) for _ in range(2)))
    assert sorted(one.free if one else 0 for one in both) == [0, 20]
    assert (await reserved(ledger)).size == 20


async def test_what_was_half_sent_is_marked_unknown_and_goes_once_more(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(begin(one, batch))
    [found] = await lost(ledger)
    _, [again] = await taken(ledger)
    [attempt] = await attempt_rows(ledger)
    assert (found.free, found.in_doubt) == (0, 1)
    assert (again.id, again.in_doubt, attempt.verdict) == (one.id, 1, "unknown")


async def test_in_doubt_a_second_time_a_person_decides(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(begin(one, batch))
    await lost(ledger)
    batch, [one] = await taken(ledger)
    await Recorder(ledger).begin(begin(one, batch))
    await lost(ledger)
    [row] = await rows(ledger)
    assert (row.state, row.in_doubt) == ("held", 2)
    assert "a person decides" in row.reason


@pytest.mark.parametrize(
    ("doubt", "state"), [(Doubt.RESEND, "deferred"), (Doubt.HOLD, "held"), (Doubt.DROP, "failed")]
)
async def test_the_type_says_what_becomes_of_a_doubt(ledger, doubt, state):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(begin(one, batch))
    await lost(ledger, {"note": replace(NOTE, when_in_doubt=doubt)})
    [row] = await rows(ledger)
    assert (row.state, row.in_doubt, "doubt" in row.reason or state == "deferred") == (state, 1, True)


async def test_what_was_refused_and_had_not_begun_its_next_step_is_in_no_doubt(ledger):
    batch, [one] = await claimed(ledger)
    recorder, first = Recorder(ledger), begin(one, batch)
    await recorder.begin(first)
    refused = Outcome(Verdict.REFUSED, Phase.RCPT, code=550)
    await recorder.finish(
        AttemptFinished(one.id, batch, Decision(State.SENDING), attempt=first.id, outcome=refused)
    )
    [found] = await lost(ledger)
    [row] = await rows(ledger)
    assert (found.free, found.in_doubt, row.state, row.in_doubt) == (1, 0, "accepted", 0)


async def test_what_is_in_doubt_at_a_later_step_of_its_route_is_sent_again_over_no_other(ledger):
    batch, [one] = await claimed(ledger)
    recorder, first = Recorder(ledger), begin(one, batch)
    await recorder.begin(first)
    refused = Outcome(Verdict.REFUSED, Phase.RCPT, code=550)
    over = AttemptFinished(one.id, batch, Decision(State.SENDING), attempt=first.id, outcome=refused)
    await recorder.begin(replace(begin(one, batch), step=1, provider="backup"), after=over)
    await lost(ledger)
    await change(ledger, due_at=LONG_AGO)
    _, [again] = await taken(ledger)
    assert (again.step, again.in_doubt) == (1, 1)


async def test_a_run_that_lost_its_work_cannot_send_it(ledger):
    batch, [mine] = await claimed(ledger)
    await lost(ledger)
    await reserved(ledger)
    assert await Recorder(ledger).begin(begin(mine, batch)) == 0
    assert await attempt_rows(ledger) == []


async def test_losing_a_run_is_on_the_timeline(ledger):
    await claimed(ledger)
    await lost(ledger)
    assert [event.what for event in await rows(ledger, events)] == ["run lost"]


async def test_a_lease_that_is_kept_is_never_taken(ledger):
    ledger.lease = timedelta(seconds=0.3)
    batch, _ = await claimed(ledger)
    leases, reaper = Leases(ledger), Reaper(ledger, TYPES)
    leases.hold(batch)
    for _ in range(8):
        assert await reaper.look() == []
        await asyncio.sleep(0.1)
    leases.let_go(batch)
    for _ in range(8):
        await asyncio.sleep(0.1)
        if found := await reaper.look():
            break
    assert [one.free for one in found] == [1]
    await leases.close()


async def test_held_twice_it_is_kept_until_let_go_twice(ledger):
    ledger.lease = timedelta(seconds=0.3)
    batch, _ = await claimed(ledger)
    leases = Leases(ledger)
    leases.hold(batch)
    leases.hold(batch)
    leases.let_go(batch)
    before = (await rows(ledger, batches))[0].leased_until
    await asyncio.sleep(0.2)
    assert (await rows(ledger, batches))[0].leased_until > before
    await leases.close()


async def test_a_clock_that_jumps_forward_takes_nothing_from_the_living(ledger):
    batch, _ = await claimed(ledger)
    steady = Steady()
    reaper = Reaper(ledger, TYPES, steady)
    assert await reaper.look() == []
    tomorrow = now() + timedelta(days=1)
    with use_clock(lambda: tomorrow):
        for _ in range(5):
            steady.time += ledger.lease.total_seconds() / 4
            await renew(ledger, [batch])
            assert await reaper.look() == []


async def test_a_clock_that_jumps_back_keeps_nothing_from_anybody(ledger):
    await claimed(ledger)
    steady = Steady()
    reaper = Reaper(ledger, TYPES, steady)
    yesterday = now() - timedelta(days=1)
    with use_clock(lambda: yesterday):
        assert await looks(reaper, steady, 8) == []
        assert [one.free for one in await looks(reaper, steady, 1)] == [1]


async def test_one_that_lapsed_long_ago_comes_back_after_half_a_lease(ledger):
    await claimed(ledger)
    await change(ledger, batches, leased_until=LONG_AGO)
    steady = Steady()
    reaper = Reaper(ledger, TYPES, steady)
    assert await looks(reaper, steady, 4) == []
    assert [one.free for one in await looks(reaper, steady, 1)] == [1]


async def test_clocks_two_leases_apart_take_nothing_from_an_owner_whose_renewal_is_late(ledger):
    """The owner renews every two looks; two of its renewals come a whole look later."""
    batch, _ = await claimed(ledger)
    steady = Steady()
    reaper = Reaper(ledger, TYPES, steady)
    ahead = now() + ledger.lease * 2
    for late in (0, 0, 1, 0, 1):
        with use_clock(lambda: ahead):
            assert await looks(reaper, steady, 2 + late) == []
        await renew(ledger, [batch])


async def test_a_worker_without_the_file_of_a_type_leaves_its_batches_to_others(ledger):
    batch, [one] = await claimed(ledger)
    await Recorder(ledger).begin(begin(one, batch))
    await change(ledger, batches, leased_until=LONG_AGO)
    steady, knowing = Steady(), Steady()
    assert await looks(Reaper(ledger, {}, steady), steady, 20) == []
    assert [row.state for row in await rows(ledger)] == ["sending"]
    assert [one.in_doubt for one in await looks(Reaper(ledger, TYPES, knowing), knowing, 5)] == [1]


async def test_renewing_and_recording_at_once_never_deadlock(ledger):
    ledger.lease = timedelta(seconds=0.03)
    batch, many = await claimed(ledger, 200)
    recorder, leases = Recorder(ledger), Leases(ledger)
    leases.hold(batch)
    numbers = await asyncio.gather(*(recorder.begin(begin(one, batch)) for one in many))
    await recorder.finish_all([AttemptFinished(one.id, batch, Decision(State.SENT)) for one in many])
    await leases.close()
    assert set(numbers) == {1}
    assert {row.state for row in await rows(ledger)} == {"sent"}


ON_EACH = [
    ("sqlite", "'soon'"),
    ("sqlite", "5"),
    ("postgresql", "'infinity'"),
    ("postgresql", "'20000-01-01'"),
]


@pytest.mark.parametrize(("database", "lease"), ON_EACH, indirect=["database"])
async def test_a_lease_that_cannot_be_read_has_lapsed(ledger, lease, caplog):
    batch, _ = await claimed(ledger)
    await run_sql(ledger, f"UPDATE batches SET leased_until = {lease}")
    [found] = await looks(Reaper(ledger, TYPES, steady := Steady()), steady, 6)
    assert (found.batch, found.free) == (batch, 1)
    assert f"the lease of batch {batch} cannot be read; it counts as lapsed" in caplog.messages


@pytest.mark.parametrize(("database", "lease"), ON_EACH, indirect=["database"])
async def test_a_live_owner_repairs_its_lease_and_keeps_its_batch(ledger, lease):
    batch, _ = await claimed(ledger)
    reaper = Reaper(ledger, TYPES, steady := Steady())
    await run_sql(ledger, f"UPDATE batches SET leased_until = {lease}")
    assert await looks(reaper, steady, 2) == []
    await renew(ledger, [batch])
    assert await looks(reaper, steady, 6) == []
    assert await reclaim(ledger, Lapsed(batch, None), TYPES) is None
