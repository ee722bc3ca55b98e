"""A semaphore per key: a key that has used up its permits waits, and other keys do not."""

from __future__ import annotations

import asyncio


class KeyedSemaphore:
    """at_once: permits per key."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._of: dict[str, asyncio.Semaphore] = {}

    def of(self, whom: str) -> asyncio.Semaphore:
        """The semaphore of `whom`, an API key or a client. It is kept, as there are not many of either."""
        return self._of.setdefault(whom, asyncio.Semaphore(self._at_once))
