"""A scripted provider: takes, refuses, defers, stalls, or drops the connection around the final dot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.deployments.simulation.faults import Faults
from waypost.deployments.simulation.process import Process
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Phase
from waypost.model.priority import Priority
from waypost.policy import classify

REPLIES = (
    (421, "4.3.2 service not available, closing", Phase.MAIL),
    (450, "4.2.0 mailbox busy, try again in 20 seconds", Phase.RCPT),
    (450, "4.7.1 greylisted", Phase.RCPT),
    (454, "4.7.0 temporary authentication failure", Phase.MAIL),
    (550, "5.1.1 no such user", Phase.RCPT),
    (451, "4.3.0 local error", Phase.DOT),
)


# The order of the lanes, repeated here so that the check does not depend on the code it checks.
ORDER = (Priority.URGENT, Priority.NORMAL, Priority.BULK)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message in a mailbox. late: seconds from its deadline to its MAIL FROM; 0 if in time."""

    id: UUID
    text: str
    late: float


@dataclass(slots=True, eq=False)
class _Wait:
    priority: Priority
    passed: int = 0


class WatchedPlaces(PrioritySemaphore):
    """A semaphore that counts, for each waiter, how many messages of a later lane go first. There may be
    one per permit, no more."""

    def __init__(self, most: int, blame: Callable[[str], None]) -> None:
        super().__init__(most)
        self._blame = blame
        self._waits: list[_Wait] = []

    async def acquire(self, priority: Priority = Priority.NORMAL, *, security: bool = False) -> None:
        wait = _Wait(priority)
        self._waits.append(wait)
        try:
            await super().acquire(priority, security=security)
        finally:
            self._waits.remove(wait)

    def begins(self, priority: Priority) -> None:
        """Record that a message of that lane is sent."""
        for wait in self._waits:
            if ORDER.index(priority) > ORDER.index(wait.priority):
                wait.passed += 1
                if wait.passed == self.most + 1:
                    self._blame(f"{wait.passed} of {priority} went while {wait.priority} waited for a permit")


class ScriptedProvider:
    """One process's channel to a provider. `mailbox` is the provider's own, and survives the process."""

    kind = "sms"

    def __init__(
        self,
        name: str,
        process: Process,
        faults: Faults,
        mailbox: list[Delivered],
        late: Callable[[Message], float],
        blame: Callable[[str], None],
    ) -> None:
        self.name = name
        self._watched = WatchedPlaces(3, blame)
        self.permits: PrioritySemaphore = self._watched
        self._process = process
        self._faults = faults
        self._mailbox = mailbox
        self._late = late

    async def open(self) -> None:
        await self._process.step(f"opens {self.name}")
        if self.name == "primary" and not self._faults.provider_opens():
            raise ChannelUnavailable(self.name, "it is down")

    async def send(self, message: Message) -> Outcome:
        self._watched.begins(message.notification.priority)
        await self.open()
        random = self._faults.random
        await asyncio.sleep(random.uniform(0, 2 * self._faults.pace))
        if self._faults.happens(self._faults.bad_replies / 3):
            await asyncio.sleep(random.uniform(1.0, 20.0))  # slow: the lease must be kept meanwhile
        await self._process.step(f"is about to say MAIL FROM to {self.name}")
        if message.notification.expired:
            return classify.too_late()
        late = self._late(message)
        if self._faults.happens(self._faults.bad_replies):
            return await self._misbehave(message, late)
        return await self._take(message, late, answers=True)

    async def _misbehave(self, message: Message, late: float) -> Outcome:
        which = self._faults.random.randrange(len(REPLIES) + 3)
        if which < len(REPLIES):
            code, text, phase = REPLIES[which]
            await self._process.step(f"is told {code} by {self.name}")
            return classify.smtp(code, text, phase)
        if which == len(REPLIES):
            return classify.lost(Phase.DATA, "connection lost")
        if which == len(REPLIES) + 1:
            return classify.lost(Phase.DOT, "connection lost")  # and the message was never taken
        return await self._take(message, late, answers=False)

    async def _take(self, message: Message, late: float, *, answers: bool) -> Outcome:
        await self._process.step(f"sends the final dot to {self.name}")
        self._mailbox.append(Delivered(message.notification.id, message.content.decode(), late))
        await self._process.step(f"waits for the reply of {self.name}")
        if not answers:
            return classify.lost(Phase.DOT, "connection lost")
        return classify.smtp(250, "2.0.0 queued", Phase.DOT)

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None: ...

    async def close(self) -> None: ...
