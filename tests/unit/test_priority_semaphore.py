"""A provider's permits: never more than there are, the most urgent first."""

import asyncio

import pytest

from waypost import Priority
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.policy.runs_per_lane import free_slots

pytestmark = pytest.mark.anyio
URGENT, NORMAL, BULK = Priority


async def waiting(permits, *priorities):
    """Somebody of each priority in line; yields who got a place, in order."""
    got = []

    async def one(name, priority):
        await permits.acquire(priority)
        got.append(name)

    tasks = [asyncio.create_task(one(f"{p} {n}", p)) for n, p in enumerate(priorities)]
    await asyncio.sleep(0)
    return got, tasks


async def test_as_many_as_there_are_and_no_more():
    permits = PrioritySemaphore(2)
    got, tasks = await waiting(permits, URGENT, URGENT, URGENT)
    assert len(got) == 2
    permits.release()
    await tasks[2]
    assert len(got) == 3


async def test_the_most_urgent_goes_first_and_then_who_came_first():
    permits = PrioritySemaphore(1)
    await permits.acquire()
    got, _ = await waiting(permits, BULK, NORMAL, URGENT, NORMAL)
    for _ in range(4):
        permits.release()
        await asyncio.sleep(0)
    assert got == ["urgent 2", "normal 1", "normal 3", "bulk 0"]


@pytest.mark.parametrize("lane", [URGENT, BULK])
async def test_within_a_lane_security_goes_first_and_does_not_give_its_place_up_for_others(lane):
    permits, got = PrioritySemaphore(1), []
    await permits.acquire()

    async def one(name, **more):
        await permits.acquire(lane, **more)
        got.append(name)

    tasks = [asyncio.create_task(one(f"alert {n}")) for n in range(3)]
    await asyncio.sleep(0)
    assert not permits.wanted(lane, security=True)
    tasks.append(asyncio.create_task(one("code", security=True)))
    await asyncio.sleep(0)
    assert permits.wanted(lane, by_others_of_it=False)
    for _ in tasks:
        permits.release()
        await asyncio.sleep(0)
    assert got == ["code", "alert 0", "alert 1", "alert 2"]


async def test_who_gave_up_waiting_gets_none():
    permits = PrioritySemaphore(1)
    await permits.acquire()
    got, tasks = await waiting(permits, NORMAL, NORMAL)
    tasks[0].cancel()
    await asyncio.sleep(0)
    permits.release()
    await asyncio.sleep(0)
    assert got == ["normal 1"]


async def test_a_place_given_to_who_was_just_cancelled_goes_on_to_the_next():
    permits = PrioritySemaphore(1)
    await permits.acquire()
    _, [first] = await waiting(permits, NORMAL)
    permits.release()
    first.cancel()
    await asyncio.sleep(0)
    assert permits.idle


@pytest.mark.parametrize(
    ("waits", "asks", "yields"),
    [(URGENT, BULK, True), (NORMAL, NORMAL, True), (BULK, NORMAL, False), (BULK, BULK, True)],
)
async def test_a_place_is_given_up_to_whoever_is_at_least_as_urgent(waits, asks, yields):
    permits = PrioritySemaphore(1)
    await permits.acquire()
    await waiting(permits, waits)
    assert permits.wanted(asks) is yields


@pytest.mark.parametrize(
    ("priority", "running", "slots", "free"),
    [
        (URGENT, {}, 10, 10),
        (NORMAL, {}, 10, 9),
        (BULK, {}, 10, 5),
        (BULK, {BULK: 5}, 10, 0),
        (NORMAL, {BULK: 5}, 10, 4),
        (NORMAL, {BULK: 5, NORMAL: 4}, 10, 0),
        (URGENT, {BULK: 5, NORMAL: 4}, 10, 1),
        (URGENT, {BULK: 5, NORMAL: 5}, 10, 0),
        (BULK, {URGENT: 8}, 10, 2),
        (BULK, {URGENT: 10}, 10, 0),
        (BULK, {}, 1, 1),
        (URGENT, {NORMAL: 1}, 1, 0),
        (NORMAL, {}, 2, 1),
    ],
)
def test_later_lanes_leave_slots_for_earlier_ones(priority, running, slots, free):
    assert free_slots(priority, running, slots) == free


async def test_the_last_place_is_kept_for_what_is_urgent():
    permits = PrioritySemaphore(3)
    got, _ = await waiting(permits, BULK, NORMAL, BULK, NORMAL)
    assert len(got) == 2 == permits.most_for(NORMAL)
    await asyncio.wait_for(permits.acquire(URGENT), 1)
    permits.release()
    await asyncio.sleep(0)
    assert len(got) == 2
    permits.release()
    await asyncio.sleep(0)
    assert len(got) == 3
