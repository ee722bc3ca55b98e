"""Long work in slices, so that other tasks on the event loop can run in between."""

from __future__ import annotations

import asyncio

from waypost.system import clock


class Slices:
    """Counts time, not items: an item may be a thousand times as much work as the next.

    seconds: how long a slice may be.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = clock.monotonic() + seconds

    async def pause(self) -> None:
        """Let other tasks run once the slice is over. Call it between two items."""
        if clock.monotonic() >= self._ends:
            await asyncio.sleep(0)
            self._ends = clock.monotonic() + self._seconds
