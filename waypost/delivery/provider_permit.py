"""A provider's permit, as a run holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.model.priority import Priority

IN_A_ROW = 10  # messages a run sends with a permit while others of its lane wait for it


class ProviderPermit:
    """One of a provider's permits, which a run uses for one message after the other. `ended`: how the last
    message ended, written together with the start of the next, or before the permit is released."""

    def __init__(
        self,
        permits: PrioritySemaphore,
        priority: Priority,
        recorder: Recorder,
        stop: asyncio.Event,
        *,
        security: bool = False,
    ) -> None:
        """security: whether it is for mail of that category."""
        self.ended: AttemptFinished | None = None
        self._permits = permits
        self._priority = priority
        self._security = security
        self._recorder = recorder
        self._stop = stop
        self._held = False
        self._in_a_row = 0

    async def take(self) -> None:
        """Wait for a permit, or until the run is stopped: then no permit is held."""
        if self._permits.try_acquire(self._priority):
            self._held = True
            return
        permit = asyncio.ensure_future(self._permits.acquire(self._priority, security=self._security))
        try:
            await self._wait_for(permit)
        finally:
            self._held = permit.done() and not permit.cancelled()

    async def begin(self, begin: AttemptStarted) -> int:
        """See Recorder.begin."""
        number = await self._recorder.begin(begin, after=self.ended)
        self.ended = None
        return number

    async def share(self) -> None:
        """After a message, let waiters with precedence go first; after IN_A_ROW messages, or at once if
        urgent, equal waiters too. Releasing each time takes two writes a message instead of one."""
        self._in_a_row += 1
        of_it = self._priority is Priority.URGENT or self._in_a_row >= IN_A_ROW
        if self._permits.wanted(self._priority, security=self._security, by_others_of_it=of_it):
            self._in_a_row = 0
            await self.leave()
            await self.take()

    async def release_until(self, until: Awaitable[None], within: float | None = None) -> None:
        """Release the permit until `until` is done, `within` seconds have passed or the run is stopped."""
        happens = asyncio.ensure_future(until)
        try:
            await self.leave()
            await self._wait_for(happens, within)
        finally:
            happens.cancel()
        await self.take()

    async def _wait_for(self, one: asyncio.Future[None], within: float | None = None) -> None:
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((one, stop), timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            one.cancel()
        if one.done() and not one.cancelled():
            one.result()

    async def leave(self) -> None:
        """Write the outcome that is not written yet, and release the permit."""
        try:
            if self.ended is not None:
                ended, self.ended = self.ended, None
                await self._recorder.finish(ended)
        finally:
            if self._held:
                self._held = False
                self._permits.release()
