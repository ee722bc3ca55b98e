"""A provider's rate limit, with a share reserved for urgent messages."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from waypost.channels.priority_semaphore import PrioritySemaphore
from waypost.model.priority import Priority

Acquire = Callable[[int], Awaitable[None]]
KEPT_FOR_URGENT = 0.1


class RateLimiter:
    """Messages a second, drawn in chunks of about one second's worth. A tenth of each chunk (at least one
    message, if it holds several) is reserved for urgent messages, and half of that for security messages,
    which must not wait behind a flood of alerts.

    acquire: waits until that many messages may go, `chunk` at most. A draw that has started is completed even
    if its waiter is cancelled: the limit has already counted it. on_draw: called with each draw's size.
    """

    def __init__(self, per_second: float, acquire: Acquire) -> None:
        self.per_second = per_second
        self.chunk = max(1, math.floor(per_second))
        self.on_draw: Callable[[int], None] | None = None
        self._kept = math.ceil(self.chunk * KEPT_FOR_URGENT) if self.chunk > 1 else 0
        self._left = 0
        self._acquire = acquire
        self._drawing: asyncio.Task[None] | None = None
        self._turn = PrioritySemaphore(1)  # its holder draws

    def try_acquire(self, priority: Priority, *, security: bool = False) -> bool:
        """Take a permit for one message, if that needs no waiting."""
        if self._left <= self._kept_from(priority, security):
            return False
        self._left -= 1
        return True

    def _kept_from(self, priority: Priority, security: bool) -> int:
        if priority is not Priority.URGENT:
            return self._kept
        return 0 if security else self._kept // 2

    async def acquire(self, priority: Priority, *, security: bool = False) -> None:
        """Wait until one more message may go, in the order of PrioritySemaphore. Raises the errors of
        `acquire`."""
        while not self.try_acquire(priority, security=security):
            await self._turn.acquire(priority, security=security)
            try:
                if self.try_acquire(priority, security=security):
                    return
                if self._drawing is None:
                    self._drawing = asyncio.create_task(self._draw())
                    self._drawing.add_done_callback(_look_at)
                await asyncio.shield(self._drawing)
            finally:
                self._turn.release()

    async def _draw(self) -> None:
        try:
            await self._acquire(self.chunk)
            self._left = min(self._left, self._kept) + self.chunk
            if self.on_draw is not None:
                self.on_draw(self.chunk)
        finally:
            self._drawing = None


def _look_at(drawing: asyncio.Task[None]) -> None:
    """Retrieve the error, which waiting callers get raised, so that asyncio does not log it if none waits."""
    if not drawing.cancelled():
        drawing.exception()
