"""Checks whether the gateway can work.

The route needs no key, so requests within a second share a result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from waypost.ledger import Ledger
from waypost.ledger.database.trouble import trouble
from waypost.ledger.operations.write_check import write_as_a_post_does
from waypost.ledger.records.installation import check_key

LASTS = 1.0  # seconds that a result is shared
ANSWERS_WITHIN = 2.0  # seconds until a ledger that completes no write counts as unavailable
SILENT = (
    f"the ledger accepted no write within {ANSWERS_WITHIN:.0f} s: check whether its "
    "database is busy or locked"
)
NO_PREFECT = "the Prefect API does not respond; posts are still accepted: start it, or check PREFECT_API_URL"

Question = Callable[[], Awaitable[str]]


class Shared:
    """A check that runs once at a time and at most once a second, however many callers await it. Returns a
    sentence about what is wrong, or an empty string."""

    def __init__(self, ask: Question) -> None:
        self._ask = ask
        self._asking: asyncio.Task[str] | None = None
        self._asked_at = 0.0

    async def __call__(self) -> str:
        asking = self._asking
        if asking is None or (asking.done() and time.monotonic() - self._asked_at > LASTS):
            asking = self._asking = asyncio.ensure_future(self._ask())
            self._asked_at = time.monotonic()
        return await asyncio.shield(asking)


class Readiness:
    """Checks the ledger and Prefect. Each check returns what is wrong, or an empty string."""

    def __init__(self, ledger: Ledger, prefect: Callable[[], Awaitable[bool]], secret_key: bytes) -> None:
        """prefect: whether Prefect's API answers. secret_key: of this process."""
        self._ledger = ledger
        self._secret_key = secret_key
        self._prefect_answers = prefect
        self._writes = Shared(self._write)
        self.prefect = Shared(self._ask_prefect)

    async def ledger(self) -> str:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                return await self._writes()
        except TimeoutError:
            return SILENT

    async def _write(self) -> str:
        try:
            await write_as_a_post_does(self._ledger)
            await check_key(self._ledger, self._secret_key)
        except Exception as error:  # any error means that the ledger cannot be written
            return trouble(error)
        return ""

    async def _ask_prefect(self) -> str:
        return "" if await self._prefect_answers() else NO_PREFECT
