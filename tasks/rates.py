"""A provider's rate is one for all workers: Prefect's global concurrency limits with slot decay count it."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial

import httpx
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError, rate_limit
from prefect.exceptions import ObjectAlreadyExists

from tasks.runs import alone, current_flow_run
from waypost import Batch
from waypost.delivery import Dispatch
from waypost.notification import Delivery
from waypost.rate import Alone, Rate
from waypost.runtime import Runtime

logger = logging.getLogger("waypost.providers")


async def dispatch_of(deliveries: Batch[Delivery]) -> Dispatch:
    """The batch's way through its route, at the rate that all workers share."""
    runtime = await Runtime.current()
    for name, terms in runtime.settings.providers.items():
        rate = runtime.standing(name).rate
        if rate is not None and terms.rate is not None:
            rate.share(partial(_draw, name, rate, Alone(terms.rate)))
    return Dispatch.of(runtime, deliveries, current_flow_run())


def limit_name(provider: str) -> str:
    """The global concurrency limit that counts what goes to `provider`."""
    return f"waypost-{provider}"


async def _draw(provider: str, rate: Rate, by_ourselves: Alone, count: int) -> None:
    """Wait for `count` slots, never more than the limit has. Without Prefect this worker counts alone."""
    if not alone():
        try:
            await _draw_shared(provider, rate, count)
            return
        except (ConcurrencySlotAcquisitionError, httpx.HTTPError) as error:
            logger.warning("%s: Prefect does not count its rate, so this worker does (%s)", provider, error)
    await by_ourselves.acquire(count)


async def _draw_shared(provider: str, rate: Rate, count: int) -> None:
    try:
        await rate_limit(limit_name(provider), occupy=count, strict=True)
    except (
        ConcurrencySlotAcquisitionError
    ):  # not made yet, or smaller than a chunk: the settings say how large
        await _make_limit(provider, rate)
        await rate_limit(limit_name(provider), occupy=count, strict=True)


async def _make_limit(provider: str, rate: Rate) -> None:
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):  # another worker has just made it
            await client.upsert_global_concurrency_limit_by_name(
                limit_name(provider), limit=rate.chunk, slot_decay_per_second=rate.per_second
            )
