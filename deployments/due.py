"""Starting runs for what is due and in nobody's hands: deferred, delayed, or left by a lost run."""

from __future__ import annotations

import asyncio
import logging

from deployments.api import prefect_client
from deployments.registry import registered
from deployments.trigger import trigger
from waypost.ledger import Ledger, claims

EVERY_SECONDS = 2.0

logger = logging.getLogger("waypost.due")


async def watch(ledger: Ledger, stop: asyncio.Event) -> None:
    """Look every two seconds until `stop`. What goes wrong is logged and tried again: nothing is
    lost by it, only late."""
    while not stop.is_set():
        try:
            await start_due(ledger)
        except Exception as error:  # asyncpg's connect errors have no common class; nothing may end this
            logger.warning("could not start runs for what is due: %s", type(error).__name__)
        try:
            await asyncio.wait_for(stop.wait(), EVERY_SECONDS)
        except TimeoutError:
            continue


async def start_due(ledger: Ledger) -> int:
    """Reserve what is due and start a run for it, a batch a type; answers how many runs."""
    started = 0
    for name in await claims.types_due(ledger):
        one = registered().get(name)
        if one is None:
            continue  # its file is gone; `waypost doctor` says so
        batch, size = await claims.reserve(ledger, name)
        if size:
            async with prefect_client() as client:
                await trigger(client, one, batch, size)
            started += 1
    return started
