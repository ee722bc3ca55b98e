"""A provider's rate limit, with a share kept for what is urgent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.model.priority import Priority

Acquire = Callable[[int], Awaitable[None]]
KEPT_FOR_URGENT = 0.1


class RateLimiter:
    """Messages a second, drawn a chunk of about a second's worth at a time: of a chunk, a tenth (at least
    one message, where it holds several) goes to nobody but urgent messages.

    acquire: waits until so many may go, never asked for more than `chunk`. What was asked for is waited for
    even when nobody waits any more, as it is counted already. on_draw: told of each chunk once it may go.
    """

    def __init__(self, per_second: float, acquire: Acquire) -> None:
        self.per_second = per_second
        self.chunk = max(1, math.floor(per_second))
        self.on_draw: Callable[[int], None] | None = None
        self._kept = math.ceil(self.chunk * KEPT_FOR_URGENT) if self.chunk > 1 else 0
        self._left = 0
        self._acquire = acquire
        self._drawing: asyncio.Task[None] | None = None
        self._line = PrioritySemaphore(1)  # whoever is in it draws

    def try_acquire(self, priority: Priority) -> bool:
        """Take one if it needs no waiting."""
        if self._left <= (0 if priority is Priority.URGENT else self._kept):
            return False
        self._left -= 1
        return True

    async def acquire(self, priority: Priority) -> None:
        """Wait until one more message may go, by priority and then in turn. Raises what `acquire` raises."""
        while not self.try_acquire(priority):
            await self._line.acquire(priority)
            try:
                if self.try_acquire(priority):
                    return
                if self._drawing is None:
                    self._drawing = asyncio.create_task(self._draw())
                    self._drawing.add_done_callback(_look_at)
                await asyncio.shield(self._drawing)
            finally:
                self._line.release()

    async def _draw(self) -> None:
        try:
            await self._acquire(self.chunk)
            self._left = min(self._left, self._kept) + self.chunk
            if self.on_draw is not None:
                self.on_draw(self.chunk)
        finally:
            self._drawing = None


def _look_at(drawing: asyncio.Task[None]) -> None:
    """Its error is raised to those who wait for it; asyncio need not complain where nobody does."""
    if not drawing.cancelled():
        drawing.exception()
