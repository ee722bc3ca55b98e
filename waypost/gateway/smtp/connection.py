"""A client's connection, read as lines that end only in CRLF.

RFC 5321, section 2.3.8: a CR or an LF alone does not end a line. If two servers in a row disagree about this,
a client can smuggle mails past the first one. Here, a lone CR or LF ends the connection.
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
_READ_AHEAD = 128 * 1024  # bytes buffered before reading is paused
_UNREAD = 64 * 1024  # bytes of replies a client may leave unread
_STUFFING = 64 * 1024  # bytes of doubled dots that do not count as part of the mail

_LONGEST_ANSWER = 500  # bytes; with CRLF within the 512 of RFC 5321, section 4.5.3.1.5

_UNSHOWABLE = re.compile(r"[^ -~]")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")


class Gone(Exception):
    """The client is no longer there."""


class BareEnding(Exception):
    """A CR or an LF came alone."""


class LineTooLong(Exception):
    """A command was longer than it may be."""


class SubmissionConnection(asyncio.Protocol):
    """One connection. Received data is returned in order; a fault is raised after the data before it.

    serve: runs the session; started when a client connects.
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
        """Raise `error` in the reader once it has read all data received so far."""
        if self._fault is None or isinstance(error, Gone):
            self._fault = error
        self._wake()

    def say(self, *lines: str) -> None:
        """Send `lines` as one reply (RFC 5321, section 4.2.1), if any, such as `250 2.0.0 ok`."""
        if not lines or self._transport is None or self._transport.is_closing():
            return
        *first, last = (_UNSHOWABLE.sub("?", line)[:_LONGEST_ANSWER] for line in lines)
        text = "".join([*(f"{line[:3]}-{line[4:]}\r\n" for line in first), f"{last}\r\n"])
        self._transport.write(text.encode())
        if self._transport.get_write_buffer_size() > _UNREAD:
            self._transport.abort()

    async def line(self, most: int) -> bytes:
        """The next line without CRLF, at most `most` bytes. Raises LineTooLong or the error of `fail`."""
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
        """The mail before the line with a lone dot, without the doubled dots (RFC 5321, section 4.5.2). None
        for a mail of more than `most` bytes, which is read to its end and dropped. Raises the error given
        to `fail`."""
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
        """Switch to TLS. Data that came in the clear after the STARTTLS command is discarded (RFC 3207,
        section 6): an attacker could have inserted it. Raises Gone."""
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
        """Close after the last reply. Further input is read and dropped for LINGERS_SECONDS: closing with
        unread input resets the connection, and the client may lose the last reply."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._closing = True
        transport.resume_reading()
        if transport.can_write_eof():
            with suppress(OSError):  # it was reset; connection_lost is yet to be called
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
    """The first lone CR or LF. Counting before the search takes a tenth of the time."""
    returns = seen.count(b"\r") - seen.endswith(b"\r")
    if seen.count(b"\r\n") == returns == seen.count(b"\n"):
        return None
    return _BARE.search(seen)
