"""Delivers webhook events while a gateway runs: one courier per webhook with due events."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from waypost.gateway.webhooks.courier import Courier, CourierContext, EndpointState
from waypost.ledger import Ledger
from waypost.ledger.database.failures import log_failure
from waypost.ledger.database.watch_for_work import WEBHOOKS, watching
from waypost.ledger.records import webhook_outbox
from waypost.system.waiting import wait_for

LOOKS_SECONDS = 1.0  # between two looks at most: deferred events come due without a notice
PAUSE_SECONDS = 0.02  # between two looks at least, however many notices come
AFTER_MISTAKE_SECONDS = 5.0
FORGETS_SECONDS = 600.0
MOST_COURIERS = 64
FINISH_SECONDS = 2.0  # for posts in progress to finish at a stop
SETTLE_SECONDS = 2.0
MISTAKE = "webhook delivery failed unexpectedly"

logger = logging.getLogger("waypost.webhooks")


@asynccontextmanager
async def delivering(ledger: Ledger, secret_key: bytes, allow_private: bool = False) -> AsyncGenerator[None]:
    """Deliver due events to webhooks while the block runs. allow_private: whether webhooks may lead to this
    machine or a private network. Several processes may deliver from one ledger."""
    desk = WebhookDispatcher(CourierContext(ledger, secret_key, allow_private))
    looking = asyncio.create_task(desk.look_always())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await desk.close()


class WebhookDispatcher:
    """Starts a courier for each webhook with due events, and keeps each webhook's health."""

    def __init__(self, context: CourierContext) -> None:
        self._context = context
        self._woken = asyncio.Event()
        self._couriers: dict[UUID, tuple[Courier, asyncio.Task[None]]] = {}
        self._endpoints: dict[UUID, EndpointState] = {}
        self._forgot_at = -math.inf

    async def look_always(self) -> None:
        async with watching(self._context.ledger, self._woken.set, WEBHOOKS):
            while True:
                self._woken.clear()
                try:
                    await self._look()
                except Exception as error:  # an unavailable ledger comes back; no error may end this loop
                    log_failure(logger, MISTAKE, error)
                    await asyncio.sleep(LOOKS_SECONDS)
                await asyncio.sleep(PAUSE_SECONDS)
                await wait_for(self._woken, LOOKS_SECONDS)

    async def _look(self) -> None:
        moment = asyncio.get_running_loop().time()
        if moment - self._forgot_at > FORGETS_SECONDS:
            self._forgot_at = moment
            await self._forget(moment)
        waiting = await webhook_outbox.waiting(self._context.ledger)
        random.shuffle(waiting)  # if there are more webhooks than couriers, all get a turn
        for id in waiting:
            if len(self._couriers) >= MOST_COURIERS:
                return
            state = self._endpoints.setdefault(id, EndpointState())
            if id not in self._couriers and not state.rests(moment):
                self._send(id, state)

    def _send(self, id: UUID, state: EndpointState) -> None:
        courier = Courier(self._context, id, state)
        task = asyncio.create_task(courier.run())
        self._couriers[id] = (courier, task)
        task.add_done_callback(lambda task: self._back(id, task))

    def _back(self, id: UUID, task: asyncio.Task[None]) -> None:
        del self._couriers[id]
        if task.cancelled():
            return
        if error := task.exception():
            log_failure(logger, MISTAKE, error)
            self._endpoints[id].quiet_until = asyncio.get_running_loop().time() + AFTER_MISTAKE_SECONDS
        self._woken.set()

    async def _forget(self, moment: float) -> None:
        """Delete events that are too old, and the health of webhooks whose last pause ended long ago."""
        for id, count in (await webhook_outbox.forget(self._context.ledger)).items():
            logger.warning("webhook %s: %d events deleted because they are too old", id, count)
        self._endpoints = {
            id: one
            for id, one in self._endpoints.items()
            if id in self._couriers or max(one.quiet_until, one.breaker.until) > moment - FORGETS_SECONDS
        }

    async def close(self) -> None:
        """Finish the posts in progress, within limits. Posts cut short are repeated after a restart."""
        couriers = dict(self._couriers)
        for courier, _ in couriers.values():
            courier.stop()
        tasks = [task for _, task in couriers.values()]
        await _wait(tasks, FINISH_SECONDS)
        for courier, task in couriers.values():
            if not task.done():
                courier.abort()
        for task in await _wait(tasks, SETTLE_SECONDS):
            task.cancel()
        await _wait(tasks, SETTLE_SECONDS)


async def _wait(tasks: list[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """The tasks that have not ended after `seconds`."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()
