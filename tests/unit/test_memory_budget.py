"""Room in memory: what all and what one may hold, in which order, and that none of it is lost."""

from __future__ import annotations

import asyncio

import pytest

from waypost.gateway.memory_budget import MemoryBudget
from waypost.gateway.problems import Problem

pytestmark = pytest.mark.anyio


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_does_not_fit_waits_until_it_does():
    room = MemoryBudget(most=10, share=10)
    async with room.of("shop", 8):
        waiting = asyncio.create_task(room.take("shop", 3))
        await turns()
        assert not waiting.done()
    await waiting
    assert room.held == 3


async def test_a_client_over_its_share_lets_others_pass():
    room = MemoryBudget(most=10, share=5)
    async with room.of("shop", 5):
        own = asyncio.create_task(room.take("shop", 1))
        await turns()
        async with room.of("blog", 5):
            assert not own.done()
    await own


async def test_small_bodies_do_not_overtake_a_large_one():
    room = MemoryBudget(most=10, share=10)
    async with room.of("shop", 6):
        large = asyncio.create_task(room.take("blog", 8))
        await turns()
        small = asyncio.create_task(room.take("mill", 1))
        await turns()
        assert not small.done()
    await asyncio.gather(large, small)
    assert room.held == 9


async def test_who_waits_too_long_is_told_and_holds_nothing(monkeypatch):
    monkeypatch.setattr("waypost.gateway.memory_budget.WAITS_SECONDS", 0.01)
    room = MemoryBudget(most=10, share=10)
    async with room.of("shop", 10):
        with pytest.raises(Problem) as refused:
            await room.take("shop", 1)
    assert (refused.value.kind.code, room.held) == ("unavailable", 0)


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_leaves_while_it_waits_holds_nothing(at_once):
    room = MemoryBudget(most=10, share=10)
    held = room.of("shop", 10)
    await held.__aenter__()
    leaving = asyncio.create_task(room.take("shop", 1))
    await turns()
    if at_once:  # admitted and cancelled in one turn
        await held.__aexit__()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    if not at_once:
        await held.__aexit__()
    assert room.held == 0
    await room.take("blog", 10)


async def test_what_a_body_did_not_need_is_free_at_once():
    room = MemoryBudget(most=10, share=10)
    async with room.of("shop", 10) as held:
        held.shrink(1)
        await room.take("shop", 9)
    assert room.held == 9
