"""The contract of every channel: it opens, sends and closes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.model.notification import Message
from waypost.model.outcome import Outcome


class ChannelUnavailable(Exception):
    """The channel would not open (refused, unreachable, no TLS, wrong password): nothing was sent.

    `reason` is fit for people and for Prefect: no address, no secret.
    """

    def __init__(self, channel: str, reason: str) -> None:
        super().__init__(f"{channel}: {reason}; nothing was sent through it")
        self.channel = channel
        self.reason = reason


class ChannelSilent(ChannelUnavailable):
    """The provider did not respond in time."""


class Channel(Protocol):
    """One provider.

    name: used by reports and the ledger. kind: the route word it serves ("email", "sms", ...).
    permits: one for each message that it takes at once. A caller of `send` holds one permit.
    """

    name: str
    kind: str
    permits: PrioritySemaphore

    async def open(self) -> None:
        """Make sure the channel can take a message. Raises ChannelUnavailable."""
        ...

    async def send(self, message: Message) -> Outcome:
        """Offer one message and return its outcome. A message past its deadline is not offered.

        Raises ChannelUnavailable when nothing was sent because the channel would not open.
        """
        ...

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """End the sends of `tasks` early. A message not yet fully on the wire is DEFERRED at once and never
        sent. Any other has a few seconds more for its response, then is UNKNOWN. Never raises."""
        ...

    async def close(self) -> None:
        """Release all resources. Never raises."""
        ...


@runtime_checkable
class ReceivesLateAnswers(Protocol):
    """A channel that still waits for a response after the attempt has ended."""

    def owed(self, id: UUID) -> asyncio.Future[Outcome | None] | None:
        """The response still awaited for a notification whose attempt ended UNKNOWN, or None. The future's
        result is None when no response came. Closing the channel cancels it."""
        ...


@runtime_checkable
class KnowsItsName(Protocol):
    """A channel that introduces itself to its provider.

    calls_itself: the name it gives; None for this machine's address.
    """

    calls_itself: str | None

    async def refusal_of_us(self) -> Outcome | None:
        """The provider's refusal if it takes nothing from us. Sends no message. Raises ChannelUnavailable."""
        ...


@runtime_checkable
class Unprobed(Protocol):
    """A channel that has nothing to open: only a message shows whether it works.

    checked: what has been verified without a message.
    """

    checked: str


Step = tuple[str, Channel]
"""A step of a route: the kind that it serves there, and the provider."""
