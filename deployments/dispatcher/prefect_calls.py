"""Requests to Prefect whose failures are told apart: an outage, a refusal, and a failure at one request."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound, PrefectException

from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.runs import PrefectAway, Refused, RequestFailed
from waypost.tasks.client_retries import client_retries

# Responses from 400 to 499 that are about the server's or our own state, not about the request.
AWAY = (401, 403, 407, 408, 425, 429)
BROKEN = 500  # the response for an error in Prefect's own code, or in its database

T = TypeVar("T")


class PrefectCalls:
    """An open Prefect client, without its long retries. Every response and failure is told to `outage`."""

    def __init__(self, client: PrefectClient, outage: PrefectOutage) -> None:
        self._client = client
        self._outage = outage

    @asynccontextmanager
    async def asking(self) -> AsyncGenerator[PrefectClient]:
        """The client without retries: every caller asks again soon. Raises Refused, RequestFailed or
        PrefectAway."""
        began = time.monotonic()
        try:
            with client_retries(0):
                async with self._outage.until_stopped():
                    yield self._client
        except ObjectNotFound:
            raise
        except (httpx.HTTPError, PrefectException, TimeoutError) as error:
            if isinstance(error, httpx.HTTPStatusError):
                status, told = error.response.status_code, error.response.text[:200]
                if _is_refusal(status):
                    raise Refused(f"{status} {told}") from None
                if status == BROKEN and await self._answers_others():
                    raise RequestFailed(f"{status} {told}") from None
            self._outage.failed(error, time.monotonic() - began)
            raise PrefectAway(f"the Prefect API does not respond ({type(error).__name__})") from None
        self._outage.answered()

    async def _answers_others(self) -> bool:
        """Whether Prefect answers another request after it failed at one: then there is no outage."""
        try:
            with client_retries(0):
                async with self._outage.until_stopped():
                    await after_failure(lambda: self._client.read_work_pools(limit=1))
        except (httpx.HTTPError, PrefectException, TimeoutError):
            return False
        self._outage.answered()
        return True


async def after_failure(call: Callable[[], Awaitable[T]]) -> T:
    """The answer to a request that follows a failed one. Prefect's server closes the connection on which it
    answered 500, so the first try may find it closed."""
    try:
        return await call()
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        return await call()


def _is_refusal(status: int) -> bool:
    return 400 <= status < 500 and status not in AWAY
