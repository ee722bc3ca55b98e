"""A provider's place in a run's hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from waypost.channels.places import Places
from waypost.ledger.recorder import Begin, Finish, Recorder
from waypost.priority import Priority


class Slot:
    """One of a provider's places in a run's hands: message after message goes over it. `ended` is how the
    last one did, written together with the next one's beginning, or before anybody else gets the place."""

    def __init__(self, places: Places, priority: Priority, recorder: Recorder, stop: asyncio.Event) -> None:
        self.ended: Finish | None = None
        self._places = places
        self._priority = priority
        self._recorder = recorder
        self._stop = stop
        self._held = False

    async def take(self) -> None:
        """Wait for a place."""
        await self._places.take(self._priority)
        self._held = True

    async def begin(self, begin: Begin) -> int:
        """See Recorder.begin."""
        number = await self._recorder.begin(begin, after=self.ended)
        self.ended = None
        return number

    async def share(self) -> None:
        """Let whoever is at least as urgent go first."""
        if self._places.wanted(self._priority):
            await self.leave()
            await self.take()

    async def lend(self, until: Awaitable[None]) -> None:
        """Give it up until something has happened, or the run is to stop."""
        await self.leave()
        waits = (asyncio.ensure_future(until), asyncio.ensure_future(self._stop.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        await self.take()

    async def leave(self) -> None:
        """Write what is not written, and give it up."""
        try:
            if self.ended is not None:
                ended, self.ended = self.ended, None
                await self._recorder.finish(ended)
        finally:
            if self._held:
                self._held = False
                self._places.give_back()
