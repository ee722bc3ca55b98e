"""Webhooks told of what happened while a gateway runs: a courier for each that has something due."""

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
from waypost.ledger.database.notify import WEBHOOKS, watching
from waypost.ledger.records import webhook_outbox
from waypost.net.signed_http import trusted
from waypost.system.waiting import wait_for

LOOKS_SECONDS = 1.0  # at the latest: what was put off comes due without a notice
PAUSE_SECONDS = 0.02  # between two looks, however many notices come
AFTER_MISTAKE_SECONDS = 5.0
FORGETS_SECONDS = 600.0
MOST_COURIERS = 64
FINISH_SECONDS = 2.0  # what is under way at a stop has so long
SETTLE_SECONDS = 2.0
MISTAKE = "webhooks are told with a mistake"

logger = logging.getLogger("waypost.webhooks")


@asynccontextmanager
async def delivering(ledger: Ledger, secret_key: bytes, allow_private: bool = False) -> AsyncGenerator[None]:
    """Tell webhooks what is due to them while the block runs. allow_private: whether they may lead to this
    machine or a private network. Several processes may do so over one ledger."""
    desk = WebhookDispatcher(CourierContext(ledger, secret_key, allow_private, trusted()))
    looking = asyncio.create_task(desk.look_always())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await desk.close()


class WebhookDispatcher:
    """Who is told by which courier."""

    def __init__(self, office: CourierContext) -> None:
        self._office = office
        self._woken = asyncio.Event()
        self._couriers: dict[UUID, tuple[Courier, asyncio.Task[None]]] = {}
        self._standings: dict[UUID, EndpointState] = {}
        self._forgot_at = -math.inf

    async def look_always(self) -> None:
        async with watching(self._office.ledger, self._woken.set, WEBHOOKS):
            while True:
                self._woken.clear()
                try:
                    await self._look()
                except Exception as error:  # a ledger that is away comes back; nothing may end this
                    log_failure(logger, MISTAKE, error)
                    await asyncio.sleep(LOOKS_SECONDS)
                await asyncio.sleep(PAUSE_SECONDS)
                await wait_for(self._woken, LOOKS_SECONDS)

    async def _look(self) -> None:
        moment = asyncio.get_running_loop().time()
        if moment - self._forgot_at > FORGETS_SECONDS:
            self._forgot_at = moment
            await self._forget(moment)
        waiting = await webhook_outbox.waiting(self._office.ledger)
        random.shuffle(waiting)  # where there are more than couriers, all have their turns
        for id in waiting:
            if len(self._couriers) >= MOST_COURIERS:
                return
            standing = self._standings.setdefault(id, EndpointState())
            if id not in self._couriers and not standing.rests(moment):
                self._send(id, standing)

    def _send(self, id: UUID, standing: EndpointState) -> None:
        courier = Courier(self._office, id, standing)
        task = asyncio.create_task(courier.run())
        self._couriers[id] = (courier, task)
        task.add_done_callback(lambda task: self._back(id, task))

    def _back(self, id: UUID, task: asyncio.Task[None]) -> None:
        del self._couriers[id]
        if task.cancelled():
            return
        if error := task.exception():
            log_failure(logger, MISTAKE, error)
            self._standings[id].quiet_until = asyncio.get_running_loop().time() + AFTER_MISTAKE_SECONDS
        self._woken.set()

    async def _forget(self, moment: float) -> None:
        """What is too old to be told, and how webhooks did that have been quiet since."""
        for id, count in (await webhook_outbox.forget(self._office.ledger)).items():
            logger.warning("webhook %s was not told of %d events: they are too old by now", id, count)
        self._standings = {
            id: one
            for id, one in self._standings.items()
            if id in self._couriers or max(one.quiet_until, one.breaker.until) > moment - FORGETS_SECONDS
        }

    async def close(self) -> None:
        """Finish what is under way, within limits. What is cut short is told again after a restart."""
        couriers = dict(self._couriers)
        for courier, _ in couriers.values():
            courier.stop()
        tasks = [task for _, task in couriers.values()]
        await _wait(tasks, FINISH_SECONDS)
        for courier, task in couriers.values():
            if not task.done():
                courier.cut_short()
        for task in await _wait(tasks, SETTLE_SECONDS):
            task.cancel()
        await _wait(tasks, SETTLE_SECONDS)


async def _wait(tasks: list[asyncio.Task[None]], seconds: float) -> set[asyncio.Task[None]]:
    """Those that have not ended after so many seconds."""
    return (await asyncio.wait(tasks, timeout=seconds))[1] if tasks else set()
