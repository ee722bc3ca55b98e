"""Connections that stay open between messages, for as long as they are of use."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from waypost.channels.smtp.connection import ConnectionLost, SmtpConnection

QUIT_SECONDS = 1.0


class Pool:
    """As many as were needed at once; whoever takes one gets the one used last, so that those nobody
    needs any more grow old. There are never more than whoever sends has places.

    messages: how many a connection takes before it is replaced. idle_seconds: how long it is kept unused.
    """

    def __init__(self, messages: int, idle_seconds: float) -> None:
        self._messages = messages
        self._idle_seconds = idle_seconds
        self._kept: deque[tuple[float, SmtpConnection]] = deque()  # since when; the oldest first
        self._leaving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> SmtpConnection | None:
        """An open connection, or None: then one is to be made."""
        while self._kept:
            _, wire = self._kept.pop()
            if wire.in_step:
                return wire
            wire.abort()
        return None

    def keep(self, wire: SmtpConnection) -> None:
        """Keep `wire` for the next message, unless it had its share."""
        if wire.taken >= self._messages:
            self._dismiss(wire)
            return
        wire.kept = True
        loop = asyncio.get_running_loop()
        self._kept.append((loop.time(), wire))
        if self._timer is None:
            self._timer = loop.call_later(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """Dismiss what was unused for too long, and look again when the next may be."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._kept and self._kept[0][0] + self._idle_seconds <= loop.time():
            self._dismiss(self._kept.popleft()[1])
        if self._kept:
            self._timer = loop.call_at(self._kept[0][0] + self._idle_seconds, self._sweep)

    def _dismiss(self, wire: SmtpConnection) -> None:
        """Nobody waits for the farewell."""
        leaving = asyncio.create_task(_quit(wire))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Say QUIT on what is open, to all at once. Never raises."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._kept:
            self._dismiss(self._kept.pop()[1])
        await asyncio.gather(*self._leaving)


async def _quit(wire: SmtpConnection) -> None:
    with suppress(ConnectionLost, TimeoutError):
        async with asyncio.timeout(QUIT_SECONDS):
            wire.ask(b"QUIT\r\n")
            await wire.reply()
    wire.abort()
