"""At most so many at once of each."""

import asyncio

import pytest

from waypost.system.keyed_semaphore import KeyedSemaphore

pytestmark = pytest.mark.anyio


async def test_whoever_has_more_than_its_turns_waits_and_others_go_by():
    turns, ended, done = KeyedSemaphore(2), asyncio.Event(), []

    async def take(whom):
        async with turns.of(whom):
            await ended.wait()
        done.append(whom)

    async with asyncio.TaskGroup() as group:
        for whom in ("shop", "shop", "shop"):
            group.create_task(take(whom))
        await asyncio.sleep(0)
        assert turns.of("shop").locked()
        async with asyncio.timeout(1), turns.of("blog"):
            pass
        ended.set()
    assert done == ["shop"] * 3
