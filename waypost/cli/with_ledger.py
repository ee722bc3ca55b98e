"""How a command reaches the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from waypost.config.settings import Settings
from waypost.ledger import Ledger, connect_checked

T = TypeVar("T")


def with_ledger(work: Callable[[Ledger], Awaitable[T]], settings: Settings | None = None) -> T:
    """The result of `work` over the ledger of the settings. Raises LedgerBehind, LedgerMissing."""

    async def run() -> T:
        async with connect_checked(settings or Settings()) as ledger:
            return await work(ledger)

    return asyncio.run(run())
