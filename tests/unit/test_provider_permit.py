"""How long a run keeps a provider's place while others of its lane wait for it."""

import asyncio

import pytest

from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.delivery.provider_permit import IN_A_ROW, ProviderPermit
from waypost.model.priority import Priority

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("priority", "every"), [(Priority.NORMAL, IN_A_ROW), (Priority.URGENT, 1)])
async def test_a_place_goes_to_another_run_of_the_lane_after_so_many_messages(priority, every):
    permits = PrioritySemaphore(1)
    permit = ProviderPermit(permits, priority, None, asyncio.Event())
    got = 0

    async def rival():
        nonlocal got
        while True:
            await permits.acquire(priority)
            got += 1
            await asyncio.sleep(0)
            permits.release()
            await asyncio.sleep(0)

    await permit.take()
    waiting = asyncio.create_task(rival())
    await asyncio.sleep(0)
    for _ in range(3 * IN_A_ROW):
        await permit.share()
    waiting.cancel()
    assert got == 3 * IN_A_ROW // every
