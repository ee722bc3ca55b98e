"""How a Waypost process stops: within ten seconds, because Docker then kills it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from waypost.ledger import Ledger, NotRecorded
from waypost.ledger.queue.leases import Leases
from waypost.ledger.queue.return_claims import return_batches

HURRY_SECONDS = 0.5  # for a call to Prefect that is under way
GRACE_SECONDS = 2.5  # for runs and direct deliveries to end on their own
LAST_SECONDS = 3.5  # once they are cancelled: to read due responses (LAST_WORD_SECONDS) and record them
LEDGER_SECONDS = 5.0  # from the stop on, for a ledger that is away: outcomes may be unwritten
SENDS_SECONDS = 0.1  # how often `sends` is checked
COURTESY_SECONDS = 1.0  # for telling Prefect, each time
FLUSH_SECONDS = 2.0  # for what Prefect's threads still buffer, while Prefect answers

STOPPED = "The worker stopped. Unsent notifications go out with another run."  # of a run that was cut short


async def see_off(tasks: Collection[asyncio.Task[Any]], sends: Callable[[], bool] = lambda: True) -> None:
    """Let `tasks` end, then cancel them. Once no message is on the wire, or LAST_SECONDS have passed, they
    may still tell Prefect for COURTESY_SECONDS, then are cancelled again. Returns when all have ended.

    sends: whether a message is on the wire.
    """
    clock = asyncio.get_running_loop().time
    left = await _wait(tasks, GRACE_SECONDS)
    _cancel(left)
    until = clock() + LAST_SECONDS
    while left and sends() and clock() < until:
        left = await _wait(left, SENDS_SECONDS)
    left = await _wait(left, COURTESY_SECONDS)
    _cancel(left)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(tasks: Collection[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """The tasks that have not ended after `seconds`."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()


def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()


@asynccontextmanager
async def in_hand(
    ledger: Ledger, leases: Leases, stopping: Callable[[], bool] = lambda: True
) -> AsyncGenerator[list[UUID]]:
    """Hold the batches that a run takes up in the block, and yield them. If the block is cancelled because
    the process is stopping, unsent notifications are free at once; otherwise when the lease has lapsed."""
    with leases.over_a_run() as held:
        try:
            yield held
        except asyncio.CancelledError:
            if stopping():
                with suppress(NotRecorded):
                    await return_batches(ledger, held)
            raise


async def give_up_in_time(ledger: Ledger, stop: asyncio.Event) -> None:
    """After `stop`, wait for a ledger that is away for LEDGER_SECONDS at most."""
    await stop.wait()
    asyncio.get_running_loop().call_later(LEDGER_SECONDS, ledger.give_up)
