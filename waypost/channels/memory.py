"""An in-memory channel: for tests of flows, and for trying things out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.channels.redacted import RedactedChannel
from waypost.model.notification import Message
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.policy import classify

ACCEPTED = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250, words="kept in memory")


class MemoryChannel(RedactedChannel):
    """Keeps accepted messages in `sent`, in order. `answer` decides each outcome. `down`: it does not
    open. `opens_at`: the number of the call that opens it; earlier calls fail."""

    def __init__(
        self,
        name: str = "memory",
        kind: str = "email",
        answer: Callable[[Message], Outcome] = lambda message: ACCEPTED,
        permits: int = 4,
    ) -> None:
        super().__init__(name)
        self.kind = kind
        self.permits = PrioritySemaphore(permits)
        self.answer = answer
        self.down = False
        self.opens_at = 0
        self.sent: list[Message] = []

    async def _open(self) -> None:
        """Raises ChannelUnavailable while `down`."""
        self.opens_at -= 1
        if self.down or self.opens_at > 0:
            raise ChannelUnavailable(self.name, "it is down")

    async def _send(self, message: Message) -> Outcome:
        """Return the outcome of `answer`, and keep the message if it is ACCEPTED."""
        if self.down:
            raise ChannelUnavailable(self.name, "it is down")
        if message.notification.expired:
            return classify.too_late()
        outcome = self.answer(message)
        if outcome.verdict is Verdict.ACCEPTED:
            self.sent.append(message)
        return outcome

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """Sending takes no time: there is nothing to end."""

    async def close(self) -> None:
        """Nothing to let go of."""
