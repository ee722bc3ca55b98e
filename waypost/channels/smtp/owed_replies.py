"""Answers that a mail server still owes: to messages whose attempt is over and whose final dot has left.

A client that hangs up before ten minutes makes duplicates: the server goes on with the message and delivers
it, and the client sends it again (RFC 5321, section 4.5.3.2.6). A place cannot be kept so long, so these
connections are listened to beside the channel's places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from waypost.model.outcome import Outcome

ANSWERS_WITHIN = 600.0  # seconds after the final dot


class Owed:
    """At most `most` at once: the one that has waited longest is given up for the next."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: dict[UUID, asyncio.Task[Outcome | None]] = {}

    def listen(self, id: UUID, listening: Coroutine[Any, Any, Outcome | None]) -> None:
        """Wait for the answer to the notification `id`."""
        while len(self._tasks) >= self._most:
            self._tasks.pop(next(iter(self._tasks))).cancel()
        task = self._tasks[id] = asyncio.create_task(listening)
        task.add_done_callback(lambda task: self._forget(id, task))

    def of(self, id: UUID) -> asyncio.Task[Outcome | None] | None:
        """The answer to come to a notification, if it is waited for: None when there will be none."""
        return self._tasks.get(id)

    async def close(self) -> None:
        """Wait for none of them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, id: UUID, task: asyncio.Task[Outcome | None]) -> None:
        if self._tasks.get(id) is task:
            del self._tasks[id]
