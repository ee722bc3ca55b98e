"""Stands in for a removed provider on the routes, until the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, NoReturn

from waypost.channels.channel import ChannelUnavailable
from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.model.notification import Message


class RemovedChannel:
    """A channel that never opens; its error says why."""

    def __init__(self, name: str, kind: str, why: str) -> None:
        self.name = name
        self.kind = kind
        self.permits = PrioritySemaphore(1)
        self._why = why

    async def open(self) -> NoReturn:
        """Raises ChannelUnavailable."""
        raise ChannelUnavailable(self.name, self._why)

    async def send(self, message: Message) -> NoReturn:
        """Raises ChannelUnavailable."""
        raise ChannelUnavailable(self.name, self._why)

    def cancel_sends(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """Nothing is under way."""

    async def close(self) -> None:
        """Nothing to let go of."""
