"""Tracks whether the Prefect API answers, from all the requests that a worker makes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from waypost.deployments.prefect_api import WrongApi
from waypost.deployments.stopping import HURRY_SECONDS
from waypost.system.waiting import wait_for

AWAY_SECONDS = 1.0  # the pause before a Prefect API that does not answer is asked again

T = TypeVar("T")
logger = logging.getLogger("waypost.prefect")


class PrefectOutage:
    """Since when Prefect has not answered. One response ends it; its start and end are logged once."""

    def __init__(
        self,
        steady: Callable[[], float] = time.monotonic,
        stop: asyncio.Event | None = None,
        api: str = "",
    ) -> None:
        """stop: set when the process is to end. api: the API's URL, logged when the API does not answer."""
        self._stop = stop
        self._api = api
        self._steady = steady
        self._since: float | None = None

    def failed(self, error: BaseException, waited: float = 0.0) -> None:
        """Record that a request got no response. waited: seconds it had waited for one."""
        if self._since is None:
            self._since = self._steady() - waited
            where = f" at {self._api}" if self._api else ""
            logger.warning(
                "the Prefect API does not respond (%s); waiting for it%s", type(error).__name__, where
            )

    def answered(self) -> None:
        """Record that a request got a response."""
        if self._since is not None:
            self._since = None
            logger.warning("the Prefect API responds again")

    @property
    def is_down(self) -> bool:
        """Whether there is an outage."""
        return self._since is not None

    @property
    def duration(self) -> float:
        """Seconds since the outage began; 0 when there is none."""
        return 0.0 if self._since is None else self._steady() - self._since

    @asynccontextmanager
    async def until_stopped(self) -> AsyncGenerator[None]:
        """Let requests in the block take their time; once the process is to end, cut them off after
        HURRY_SECONDS. Raises TimeoutError."""
        async with asyncio.timeout(None) as limit:
            hurrying = asyncio.create_task(self._hurry(limit))
            try:
                yield
            finally:
                hurrying.cancel()

    async def until_answered(
        self,
        ask: Callable[[], Awaitable[T]],
        stop: asyncio.Event,
        passes: type[Exception] | tuple[type[Exception], ...] = Exception,
    ) -> T | None:
        """Call `ask` until it returns, and return its answer; None once `stop` is set. Its errors of the
        classes in `passes` count as no answer. Raises WrongApi, for which waiting does not help, and others.
        """
        while not stop.is_set():
            began = self._steady()
            try:
                async with self.until_stopped():
                    answer = await ask()
            except WrongApi:
                raise
            except passes as error:
                self.failed(error, self._steady() - began)
                await wait_for(stop, AWAY_SECONDS)
            else:
                self.answered()
                return answer
        return None

    async def _hurry(self, limit: asyncio.Timeout) -> None:
        if self._stop is None:
            return
        await self._stop.wait()
        limit.reschedule(asyncio.get_running_loop().time() + HURRY_SECONDS)
