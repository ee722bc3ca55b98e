"""At most so many at once of each: whoever has more waits for its own, and others go by."""

from __future__ import annotations

import asyncio


class KeyedSemaphore:
    """at_once: of one and the same."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._of: dict[str, asyncio.Semaphore] = {}

    def of(self, whom: str) -> asyncio.Semaphore:
        """What to enter for a turn of `whom`: a key or a client, of which there are only so many."""
        return self._of.setdefault(whom, asyncio.Semaphore(self._at_once))
