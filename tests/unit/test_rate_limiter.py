"""A provider's rate is kept, in chunks, with a share for what is urgent."""

import asyncio

import pytest

from waypost import Priority
from waypost.delivery.rate_limiter import RateLimiter

pytestmark = pytest.mark.anyio


class Drawn:
    """Notes what was drawn; nothing more is given once `most` was."""

    def __init__(self, most):
        self.asked, self.most, self.waiting = [], most, set()

    async def __call__(self, count):
        if sum(self.asked) + count > self.most:
            self.waiting.add(asyncio.current_task())
            await asyncio.Event().wait()
        self.asked.append(count)


@pytest.fixture
async def drawing():
    """Makes what is drawn from; who still waits for it is cancelled at the end."""
    made = []
    yield lambda most: made.append(Drawn(most)) or made[-1]
    for task in (waiting for drawn in made for waiting in drawn.waiting):
        task.cancel()
        await asyncio.wait([task])


async def taken(rate, priority, **more):
    """How many are given before the next has to wait."""
    count = 0

    async def takes():
        nonlocal count
        while True:
            await rate.acquire(priority, **more)
            count += 1

    taking, seen, idle = asyncio.create_task(takes()), 0, 0
    while idle < 20:  # rounds of the loop in which none is given
        await asyncio.sleep(0)
        idle, seen = (idle + 1 if count == seen else 0), count
    taking.cancel()
    await asyncio.wait([taking])
    return count


async def test_a_chunk_is_a_seconds_worth_and_never_more(drawing):
    drawn = drawing(30)
    rate = RateLimiter(10, drawn)
    assert await taken(rate, Priority.URGENT) == 30
    assert drawn.asked == [10, 10, 10]


async def test_a_tenth_of_a_chunk_is_kept_for_what_is_urgent_and_half_of_it_for_security(drawing):
    drawn = drawing(40)
    rate = RateLimiter(40, drawn)
    assert await taken(rate, Priority.BULK, security=True) == 36
    assert await taken(rate, Priority.NORMAL) == 0
    assert await taken(rate, Priority.URGENT) == 2
    assert await taken(rate, Priority.URGENT, security=True) == 2


async def test_who_is_of_security_draws_before_alerts_that_wait(drawing):
    rate, got = RateLimiter(1, drawing(3)), []

    async def one(name, **more):
        await rate.acquire(Priority.URGENT, **more)
        got.append(name)

    alerts = [asyncio.create_task(one("alert")) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.gather(*alerts, one("code", security=True))
    assert got.index("code") <= 1


async def test_what_was_kept_does_not_pile_up(drawing):
    rate = RateLimiter(20, drawing(200))
    assert await taken(rate, Priority.BULK) == 198


async def test_less_than_one_a_second_goes_one_at_a_time(drawing):
    drawn = drawing(3)
    assert await taken(RateLimiter(0.2, drawn), Priority.BULK) == 3
    assert drawn.asked == [1, 1, 1]


async def test_of_many_who_wait_only_one_draws(drawing):
    drawn = drawing(10)
    rate = RateLimiter(10, drawn)
    await asyncio.gather(*(rate.acquire(Priority.URGENT) for _ in range(10)))
    assert drawn.asked == [10]


async def test_what_is_urgent_draws_before_all_who_wait():
    chunks = asyncio.Queue()

    async def drawn(_count):
        await chunks.get()

    rate, got = RateLimiter(1, drawn), []

    async def one(priority):
        await rate.acquire(priority)
        got.append(priority)

    later = [asyncio.create_task(one(Priority.BULK)) for _ in range(3)]
    await asyncio.sleep(0)
    urgent = asyncio.create_task(one(Priority.URGENT))
    await asyncio.sleep(0)
    for _ in range(4):
        chunks.put_nowait(None)
    await asyncio.gather(urgent, *later)
    assert got.index(Priority.URGENT) <= 1


async def test_what_was_asked_for_is_not_lost_with_whoever_asked():
    asked, comes = [], asyncio.Event()

    async def drawn(count):
        asked.append(count)
        await comes.wait()

    rate = RateLimiter(1, drawn)
    assert await taken(rate, Priority.NORMAL) == 0
    comes.set()
    async with asyncio.timeout(60):
        await rate.acquire(Priority.NORMAL)
    assert asked == [1]


async def test_what_keeps_it_from_drawing_is_raised_to_whoever_waits_and_the_next_draws_again():
    fails = [OSError("no ledger"), None]

    async def drawn(_count):
        if error := fails.pop(0):
            raise error

    rate = RateLimiter(1, drawn)
    with pytest.raises(OSError, match="no ledger"):
        await rate.acquire(Priority.NORMAL)
    await rate.acquire(Priority.NORMAL)
