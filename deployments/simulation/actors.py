"""The actors outside: clients that submit requests, people who start runs or hold a type, a schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from waypost import NotificationType, Recipient
from waypost.deployments.simulation.database import GatedLedger
from waypost.deployments.simulation.faults import lasting
from waypost.deployments.simulation.process import Process
from waypost.deployments.simulation.types import CODE, DIGEST, NEWSLETTER, RECEIPT, Note, NoteRequest
from waypost.deployments.simulation.world import LEASE, World
from waypost.ledger.intake import accept
from waypost.ledger.queue import holds

ARRIVE_WITHIN = 30.0  # seconds
FLOOD = 10  # far more than a provider takes at once
OFTEN = (CODE, CODE, RECEIPT, NEWSLETTER)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was accepted, or that is in a Prefect run.

    ready: the second from which it could be sent; None when that is unknown.
    """

    key: str
    type: str
    ready: float | None


class Actors:
    """The actors; their actions are drawn from the seed. asked: the requests that must not be lost."""

    def __init__(self, random: Random, world: World, client: Process) -> None:
        self.asked: list[Asked] = []
        self._random = random
        self._world = world
        self._ledger = GatedLedger(world.database, client, world.faults, LEASE)
        self._digests = random.random() < 0.35
        self._held = random.choice((CODE, RECEIPT, NEWSLETTER, NEWSLETTER)) if random.random() < 0.3 else None
        self._some_is_on_its_way = asyncio.Event()

    async def act(self) -> None:
        """Submit all requests, and hold a type meanwhile."""
        await asyncio.gather(self._ask(), self._hold())

    async def schedule(self) -> None:
        """Start a digest's run now and then, forever."""
        while self._digests:
            await asyncio.sleep(self._random.uniform(8, 20))
            if self._world.faults.prefect_answers():
                self._world.server.typed(DIGEST.name)

    async def _ask(self) -> None:
        for number in range(self._random.randint(1, 3)):
            await asyncio.sleep(self._random.uniform(0, ARRIVE_WITHIN / 3))
            type = self._random.choice(OFTEN)
            requests = self._requests(type, f"{number}", self._random.randint(1, 3))
            if type is NEWSLETTER and self._random.random() < 0.4:
                await self._flood(f"{number}")
            elif self._random.random() < 0.2:
                await self._type(type, requests)
            else:
                await self._accept(type, requests)

    async def _flood(self, name: str) -> None:
        """Submit many newsletters in two waves, then receipts and a code."""
        await self._accept(NEWSLETTER, self._requests(NEWSLETTER, f"{name}-flood", FLOOD))
        await asyncio.sleep(self._random.uniform(0.1, 1.0))
        await self._accept(NEWSLETTER, self._requests(NEWSLETTER, f"{name}-wave", 2))
        await self._accept(RECEIPT, self._requests(RECEIPT, f"{name}-receipt", 2))
        await self._accept(CODE, self._requests(CODE, f"{name}-code", 1))

    def _requests(self, type: NotificationType, name: str, many: int) -> list[NoteRequest]:
        return [self._request(f"{name}-{number}", type) for number in range(many)]

    async def _accept(self, type: NotificationType, requests: Sequence[NoteRequest]) -> None:
        """Submit as a client does: again with the same idempotency keys until there is a response."""
        while True:
            try:
                await accept.accept(self._ledger, type, requests)
                break
            except OSError:
                await asyncio.sleep(0.5)
        self._note(type, requests, self._world.time())
        self._world.wake()

    async def _type(self, type: NotificationType, requests: Sequence[NoteRequest]) -> None:
        """Start a run with requests, as a person in Prefect's UI does, once Prefect answers."""
        await asyncio.sleep(lasting(self._world.faults.prefect_down, self._world.time()))
        self._world.server.typed(type.name, requests)
        self._note(type, requests, None)

    def _note(self, type: NotificationType, requests: Sequence[NoteRequest], ready: float | None) -> None:
        for one in requests:
            due = ready
            if ready is not None and one.deliver_at:
                due = ready + max(0.0, (one.deliver_at - self._world.now).total_seconds())
            self.asked.append(Asked(one.data.text, type.name, due))
        if type is self._held:
            self._some_is_on_its_way.set()

    def _request(self, key: str, type: NotificationType) -> NoteRequest:
        moment, chance = self._world.now, self._random.random
        later = moment + timedelta(seconds=self._random.uniform(1, 20))
        soon = moment + timedelta(seconds=self._random.uniform(5, 60))
        return NoteRequest(
            recipient=Recipient(id=f"person {self._random.randrange(2)}", phone="+15550100"),
            data=Note(text=key),
            idempotency_key=key,
            deliver_at=later if chance() < 0.15 else None,
            expires_at=soon if chance() < 0.35 else None,
            digest=self._digests and type is RECEIPT and chance() < 0.7,
        )

    async def _hold(self) -> None:
        """Hold a type, as a person does, when some of its requests are on their way, and release it later."""
        if self._held is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._some_is_on_its_way.wait(), ARRIVE_WITHIN)
        await asyncio.sleep(self._random.uniform(0, 0.5))
        await holds.hold(self._ledger, self._held.name)
        await asyncio.sleep(self._random.uniform(1, 20))
        await holds.release(self._ledger, self._held.name)
        self._world.wake()
