"""A provider's rate is one for all workers: Prefect's global concurrency limits with slot decay count it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import httpx
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, rate_limit
from prefect.exceptions import ObjectAlreadyExists, PrefectException

from tasks.runs import alone
from waypost.rate import Alone, Rate
from waypost.standing import Standing

AWAY_SECONDS = 60.0  # how long it is not asked again: each time takes seconds

logger = logging.getLogger("waypost.providers")


def share(standing: Standing) -> None:
    """Let all workers together keep to the provider's rate, if it has one."""
    if standing.rate is not None and not standing.rate.shared:
        standing.rate.share(Shared(standing.name, standing.rate).acquire)


def limit_name(provider: str) -> str:
    """The global concurrency limit that counts what goes to `provider`."""
    return f"waypost-{provider}"


class Shared:
    """One provider's rate, for as long as the process: as the settings say, whatever the limit was before.
    Without Prefect this worker counts alone, and asks it again after a while."""

    def __init__(self, provider: str, rate: Rate) -> None:
        self._provider = provider
        self._rate = rate
        self._by_ourselves = Alone(rate.per_second)
        self._set = False
        self._away_until = 0.0

    async def acquire(self, count: int) -> None:
        """Wait for `count` slots, never more than the limit has."""
        clock = asyncio.get_running_loop().time
        if not alone() and clock() >= self._away_until:
            try:
                await self._draw(count)
                return
            except (ConcurrencySlotAcquisitionError, PrefectException, httpx.HTTPError) as error:
                self._away_until = clock() + AWAY_SECONDS
                logger.warning(
                    "%s: Prefect does not count its rate, so this worker does (%s)", self._provider, error
                )
        await self._by_ourselves.acquire(count)

    async def _draw(self, count: int) -> None:
        if not self._set:
            await self._set_limit()
        try:
            await rate_limit(limit_name(self._provider), occupy=count, strict=True)
        except ConcurrencySlotAcquisitionError:  # deleted meanwhile, or made smaller than a chunk
            await self._set_limit()
            await rate_limit(limit_name(self._provider), occupy=count, strict=True)

    async def _set_limit(self) -> None:
        async with get_client() as client:
            with suppress(ObjectAlreadyExists):  # another worker has just made it
                await client.upsert_global_concurrency_limit_by_name(
                    limit_name(self._provider),
                    limit=self._rate.chunk,
                    slot_decay_per_second=self._rate.per_second,
                )
        self._set = True
