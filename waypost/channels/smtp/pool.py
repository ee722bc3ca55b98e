"""A pool of connections that stay open between messages."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from waypost.channels.smtp.connection import ConnectionLost, SmtpConnection

QUIT_SECONDS = 1.0


class Pool:
    """As many connections as were needed at once. `take` returns the connection used last, so that those
    no longer needed age out. There are never more connections than the channel has permits.

    messages: how many a connection takes before it is replaced. idle_seconds: how long it is kept unused.
    """

    def __init__(self, messages: int, idle_seconds: float) -> None:
        self._messages = messages
        self._idle_seconds = idle_seconds
        self._kept: deque[tuple[float, SmtpConnection]] = deque()  # (kept since, connection), oldest first
        self._leaving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> SmtpConnection | None:
        """An open connection, or None: then the caller opens one."""
        while self._kept:
            _, wire = self._kept.pop()
            if wire.in_step:
                return wire
            wire.abort()
        return None

    def keep(self, wire: SmtpConnection) -> None:
        """Keep `wire` for the next message, unless it has taken its share of messages."""
        if wire.taken >= self._messages:
            self._dismiss(wire)
            return
        wire.kept = True
        loop = asyncio.get_running_loop()
        self._kept.append((loop.time(), wire))
        if self._timer is None:
            self._timer = loop.call_later(self._idle_seconds, self._sweep)

    def _sweep(self) -> None:
        """Close connections that were unused for too long, and schedule the next sweep."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._kept and self._kept[0][0] + self._idle_seconds <= loop.time():
            self._dismiss(self._kept.popleft()[1])
        if self._kept:
            self._timer = loop.call_at(self._kept[0][0] + self._idle_seconds, self._sweep)

    def _dismiss(self, wire: SmtpConnection) -> None:
        """Send QUIT and close, in the background."""
        leaving = asyncio.create_task(_quit(wire))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Send QUIT on all open connections at once. Never raises."""
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
