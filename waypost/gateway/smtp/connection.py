"""A client's connection as lines, each ended by CRLF and by nothing else.

RFC 5321, section 2.3.8: a CR or an LF alone ends no line. A server that takes one for an end, and passes on
what the next server takes for another, lets mails be smuggled in between; here it ends the connection.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

HANDSHAKE_SECONDS = 20
LINGERS_SECONDS = 1.0
_READ_AHEAD = 128 * 1024  # bytes a client may send before it is read
_UNREAD = 64 * 1024  # bytes of answers a client may leave unread
_STUFFING = 64 * 1024  # bytes of doubled dots that do not count

_LONGEST_ANSWER = 500  # with its end at most the 512 of RFC 5321, section 4.5.3.1.5

_UNSHOWABLE = re.compile(r"[^ -~]")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")


class Gone(Exception):
    """The client is no longer there."""


class BareEnding(Exception):
    """A CR or an LF came alone."""


class LineTooLong(Exception):
    """A command was longer than it may be."""


class SubmissionConnection(asyncio.Protocol):
    """One connection. What came is handed out in its order, a fault in it only where it stands.

    serve: speaks with the client; it is started when there is one.
    """

    def __init__(self, serve: Callable[[SubmissionConnection], Coroutine[Any, Any, None]]) -> None:
        self._serve = serve
        self._buffer = bytearray()
        self._ended_in_cr = False
        self._fault: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = self._closing = False
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._serving: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._serving = asyncio.create_task(self._serve(self))

    def data_received(self, data: bytes) -> None:
        if self._closing or self._fault is not None:
            return
        before = b"\r" if self._ended_in_cr else b""
        seen = before + data
        if bare := _first_bare(seen):
            self._buffer += seen[len(before) : max(bare.start(), len(before))]
            self.fail(BareEnding())
            return
        self._buffer += data
        self._ended_in_cr = seen.endswith(b"\r")
        waiting = self._wake()
        if len(self._buffer) > _READ_AHEAD and not waiting and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self.fail(Gone())

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        self.fail(Gone())

    def fail(self, error: Exception) -> None:
        """Let `error` be raised to whoever reads on past what has come so far."""
        if self._fault is None or isinstance(error, Gone):
            self._fault = error
        self._wake()

    def say(self, *lines: str) -> None:
        """Answer; several lines are one reply, none is none (RFC 5321, section 4.2.1): `250 2.0.0 ok`."""
        if not lines or self._transport is None or self._transport.is_closing():
            return
        *first, last = (_UNSHOWABLE.sub("?", line)[:_LONGEST_ANSWER] for line in lines)
        text = "".join([*(f"{line[:3]}-{line[4:]}\r\n" for line in first), f"{last}\r\n"])
        self._transport.write(text.encode())
        if self._transport.get_write_buffer_size() > _UNREAD:
            self._transport.abort()

    async def line(self, most: int) -> bytes:
        """The next line, without its end, of `most` bytes at most. Raises Gone, BareEnding or LineTooLong."""
        searched = 0
        while (end := self._buffer.find(b"\r\n", searched)) < 0 and len(self._buffer) <= most + 1:
            searched = max(0, len(self._buffer) - 1)
            await self._more()
        if not 0 <= end <= most:
            raise LineTooLong
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def message(self, most: int) -> bytes | None:
        """What comes before the line that is a lone dot, dots in front undone (RFC 5321, section 4.5.2).
        None for more than `most` bytes, which are read to their end and kept nowhere. Raises Gone or
        BareEnding."""
        self._buffer[:0] = b"\r\n"  # so that a dot in the first line is found like any other
        searched, over = 0, False
        while (end := self._buffer.find(b"\r\n.\r\n", searched)) < 0:
            if over or len(self._buffer) > most + _STUFFING:
                over = True
                del self._buffer[:-4]
            searched = max(0, len(self._buffer) - 4)
            await self._more()
        content = b"" if over else bytes(self._buffer[: end + 2].replace(b"\r\n.", b"\r\n")[2:])
        del self._buffer[: end + 5]
        return None if over or len(content) > most else content

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on. What came in the clear after the command that asked for it is forgotten
        (RFC 3207, section 6): anybody could have put it there. Raises Gone."""
        if self._transport is None or isinstance(self._fault, Gone):
            raise Gone
        self._buffer.clear()
        self._ended_in_cr, self._fault = False, None
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except (OSError, ssl.SSLError):
            raise Gone from None
        if secured is None:
            raise Gone
        self._transport, self._paused = secured, False

    async def close(self) -> None:
        """Let go of the client once it has what was said. What it still sends is read and forgotten for a
        moment: closed with something unread, a connection is reset, and the last answer may be lost by it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._closing = True
        transport.resume_reading()
        if transport.can_write_eof():
            with suppress(OSError):  # it was reset, and its loss is yet to be told
                transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGERS_SECONDS):
                await self._lost.wait()
        transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> bool:
        waiting = self._waiter is not None and not self._waiter.done()
        if waiting and self._waiter is not None:
            self._waiter.set_result(None)
        return waiting

    async def _more(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


def _first_bare(seen: bytes) -> re.Match[bytes] | None:
    """Counting first takes a tenth of the time."""
    returns = seen.count(b"\r") - seen.endswith(b"\r")
    if seen.count(b"\r\n") == returns == seen.count(b"\n"):
        return None
    return _BARE.search(seen)
