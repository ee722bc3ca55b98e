"""A provider's rate: counted in the ledger, for all processes together."""

import asyncio
import time

import pytest
from support.ledger import change, rows
from support.rings import ring

from waypost import Priority
from waypost.config.settings import with_async_driver
from waypost.delivery.rate_limiter import RateLimiter
from waypost.ledger import open_ledger
from waypost.ledger.database.tables import rates
from waypost.ledger.records.provider_rates import FURTHEST, counted, reserve

pytestmark = pytest.mark.anyio
SLACK = 0.01  # seconds that two clocks differ


async def test_what_is_reserved_begins_behind_what_was_reserved_before(ledger):
    began = time.monotonic()
    waits = [await reserve(ledger, "ses", 10) for _ in range(3)]
    gone = time.monotonic() - began
    assert waits[0] == 0
    assert 10 - gone - SLACK <= waits[1] <= 10
    assert 20 - gone - SLACK <= waits[2] <= 20
    assert await reserve(ledger, "other", 10) == 0


async def test_time_that_nobody_reserved_is_gone(ledger):
    await reserve(ledger, "ses", 1)
    [row] = await rows(ledger, rates)
    await change(ledger, rates, free_at=row.free_at - 1000)
    began = time.monotonic()
    assert await reserve(ledger, "ses", 10) == 0
    wait = await reserve(ledger, "ses", 10)
    assert 10 - (time.monotonic() - began) - SLACK <= wait <= 10


async def test_a_clock_that_was_set_back_keeps_nothing_waiting(ledger):
    await reserve(ledger, "ses", FURTHEST * 20)
    assert await reserve(ledger, "ses", 1) == 0
    assert await reserve(ledger, "ses", 1) <= 1


async def test_many_at_once_reserve_no_time_twice(ledger):
    waits = await asyncio.gather(*(reserve(ledger, "ses", 10) for _ in range(20)))
    assert sorted(round(wait / 10) for wait in waits) == list(range(20))


async def test_three_processes_together_keep_to_one_rate(ledger, database):
    """Each sends as fast as it may for five seconds."""
    per_second, seconds = 20, 5
    ledgers = [open_ledger(with_async_driver(database), ring=ring) for _ in range(3)]
    limiters = [RateLimiter(per_second, counted(one, "ses", per_second)) for one in ledgers]
    sent = [0, 0, 0]

    async def send(number):
        while True:
            await limiters[number].acquire(Priority.URGENT)
            sent[number] += 1

    began = time.monotonic()
    tasks = [asyncio.create_task(send(number)) for number in range(3)]
    await asyncio.sleep(seconds)
    allowed = per_second * (time.monotonic() - began + 1)  # the first chunk goes at once
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert per_second * (seconds - 1) <= sum(sent) <= allowed
    assert min(sent) >= per_second - 1, "each has its turn; of each second, one is kept for security mail"
    for one in ledgers:
        await one.close()
