"""A provider that is there no more, in its place on the routes until the process ends."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, NoReturn

from waypost.channels import ChannelUnavailable
from waypost.channels.places import Places
from waypost.notification import Message


class AbsentChannel:
    """Never opens, and says why."""

    def __init__(self, name: str, kind: str, why: str) -> None:
        self.name = name
        self.kind = kind
        self.places = Places(1)
        self._why = why

    async def open(self) -> NoReturn:
        """Raises ChannelUnavailable."""
        raise ChannelUnavailable(self.name, self._why)

    async def send(self, message: Message) -> NoReturn:
        """Raises ChannelUnavailable."""
        raise ChannelUnavailable(self.name, self._why)

    def cut_short(self, tasks: Collection[asyncio.Task[Any]]) -> None:
        """Nothing is under way."""

    async def close(self) -> None:
        """Nothing to let go of."""
