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
    """The channel did not say in time whether it would open."""


class Channel(Protocol):
    """One provider.

    name: as reports and the ledger call it. kind: the route word it serves ("email", "sms", ...).
    places: how many messages it takes at once. Whoever sends has taken one.
    """

    name: str
    kind: str
    places: PrioritySemaphore

    async def open(self) -> None:
        """Make sure it can take a message. Raises ChannelUnavailable."""
        ...

    async def send(self, message: Message) -> Outcome:
        """Offer one message and answer what came of it; one past its deadline is not offered.

        Raises ChannelUnavailable when nothing was sent because it would not open.
        """
        ...

    def cut_short(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """End early what `tasks` are sending: what is not on the wire whole answers DEFERRED at once, and
        never will be; what is, is waited for a few seconds more and is UNKNOWN then. Never raises."""
        ...

    async def close(self) -> None:
        """Let go of everything. Never raises."""
        ...


@runtime_checkable
class ReceivesLateAnswers(Protocol):
    """A channel that waits for an answer when the attempt is over."""

    def owed(self, id: UUID) -> asyncio.Future[Outcome | None] | None:
        """The answer to come to a notification whose attempt ended UNKNOWN, if it is waited for; it is None
        when no answer came. Closing the channel cancels it."""
        ...


@runtime_checkable
class KnowsItsName(Protocol):
    """A channel that tells its provider who we are.

    calls_itself: as what; None for this machine's address.
    """

    calls_itself: str | None

    async def refusal_of_us(self) -> Outcome | None:
        """What it answers if it takes nothing from us. Sends no message. Raises ChannelUnavailable."""
        ...


@runtime_checkable
class Unprobed(Protocol):
    """A channel that has nothing to open: only a message shows whether it takes any.

    checked: what is known to be right of it without one.
    """

    checked: str


Step = tuple[str, Channel]
"""A step of a route: the kind that it serves there, and the provider."""
