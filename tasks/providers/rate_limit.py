"""Shows a provider's rate in Prefect: as a global concurrency limit with slot decay, and how full it is.

The ledger counts: it is there whenever a message is sent, and all workers share it, with or without Prefect.
So nothing waits for Prefect here, and a number that Prefect does not take is not shown.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectAlreadyExists, PrefectException

from waypost.delivery.provider_state import ProviderState
from waypost.delivery.rate_limiter import RateLimiter
from waypost.tasks.client_retries import client_retries
from waypost.tasks.run_context import without_prefect_active

FULL = 423  # how Prefect answers when no slot is free


def show(state: ProviderState) -> None:
    """Let Prefect show the provider's rate, if it has one."""
    if state.rate_limiter is not None and state.rate_limiter.on_draw is None:
        state.rate_limiter.on_draw = Shown(state.name, state.rate_limiter).draw


def limit_name(provider: str) -> str:
    """The global concurrency limit that shows what goes to `provider`."""
    return f"waypost-{provider}"


class Shown:
    """Shows one provider's rate while the process lives. The settings' rate replaces an older limit."""

    def __init__(self, provider: str, rate: RateLimiter) -> None:
        self._name = limit_name(provider)
        self._rate = rate
        self._telling: asyncio.Task[None] | None = None
        self._is_set = False

    def draw(self, count: int) -> None:
        """Show that `count` messages go, unless Prefect has not yet answered the previous call."""
        if not without_prefect_active() and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(count))

    async def _tell(self, count: int) -> None:
        with suppress(httpx.HTTPError, PrefectException), client_retries(0):
            async with get_client() as client:
                if not self._is_set or not await self._occupied(client, count):
                    await self._set_limit(client)
                    await self._occupied(client, count)

    async def _occupied(self, client: PrefectClient, count: int) -> bool:
        """False when the limit was deleted meanwhile, or made smaller than a chunk."""
        try:
            answer = await client.increment_concurrency_slots([self._name], count, mode="rate_limit")
        except httpx.HTTPStatusError as error:
            return error.response.status_code == FULL
        return bool(answer.json())

    async def _set_limit(self, client: PrefectClient) -> None:
        with suppress(ObjectAlreadyExists):  # another worker has just made it
            await client.upsert_global_concurrency_limit_by_name(
                self._name, limit=self._rate.chunk, slot_decay_per_second=self._rate.per_second
            )
        self._is_set = True
