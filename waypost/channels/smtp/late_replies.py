"""Replies that a mail server still owes: to messages whose attempt has ended and whose final dot was sent.

A client that disconnects before ten minutes causes duplicates: the server still delivers the message, and the
client sends it again (RFC 5321, section 4.5.3.2.6). A permit cannot be held that long, so these connections
do not count against the channel's permits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from waypost.model.outcome import Outcome

ANSWERS_WITHIN = 600.0  # seconds after the final dot


class Owed:
    """The owed replies that are awaited, at most `most` at once: a new one replaces the oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: dict[UUID, asyncio.Task[Outcome | None]] = {}

    def listen(self, id: UUID, listening: Coroutine[Any, Any, Outcome | None]) -> None:
        """Wait for the reply to the notification `id`."""
        while len(self._tasks) >= self._most:
            self._tasks.pop(next(iter(self._tasks))).cancel()
        task = self._tasks[id] = asyncio.create_task(listening)
        task.add_done_callback(lambda task: self._forget(id, task))

    def of(self, id: UUID) -> asyncio.Task[Outcome | None] | None:
        """The task that awaits the reply to a notification; None if no reply is awaited."""
        return self._tasks.get(id)

    async def close(self) -> None:
        """Stop waiting for all replies."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, id: UUID, task: asyncio.Task[Outcome | None]) -> None:
        if self._tasks.get(id) is task:
            del self._tasks[id]
