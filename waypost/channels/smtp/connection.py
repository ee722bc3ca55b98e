"""One open connection to a mail server: commands out, replies in, each matched to its command.

aiosmtplib connects, greets, encrypts and logs in. Its protocol reads one reply at a time and discards any
other, so commands cannot be pipelined over it. After the login, this class takes over the transport by
asyncio's `set_protocol`, and aiosmtplib is no longer used.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import NamedTuple, cast

from aiosmtplib import SMTP

_REPLY_LINE = re.compile(rb"(\d{3})(?:([ -])(.*))?\r?\n\Z", re.DOTALL)
LONGEST_LINE = 8192
MOST_LINES = 500


class ConnectionLost(Exception):
    """The connection is unusable: closed, out of step, or not speaking SMTP. The text says which."""


class Reply(NamedTuple):
    """A reply (RFC 5321, section 4.2). text: its lines without their codes, joined by newlines."""

    code: int
    text: str


class SmtpConnection(asyncio.Protocol):
    """A connection whose server has answered EHLO.

    utf8, eight_bit, pipelining: whether the server offers them. taken: messages sent over it. kept: whether
    it was idle in the pool. proven: whether the server has answered a whole pipelined envelope. surplus: a
    reply that belongs to no command, if one came; the connection is then lost.
    """

    def __init__(self, client: SMTP) -> None:
        """Take over `client`'s connection. Raises ConnectionLost when that is closed already."""
        protocol = client.protocol
        if protocol is None or protocol.transport is None or protocol.transport.is_closing():
            raise ConnectionLost("connection lost")
        self.utf8 = client.supports_extension("smtputf8")
        self.eight_bit = client.supports_extension("8bitmime")
        self.pipelining = client.supports_extension("pipelining")
        self.taken = 0
        self.kept = False
        self.proven = False
        self.surplus: Reply | None = None
        self._buffer = b""
        self._lines: list[bytes] = []
        self._unread: deque[Reply] = deque()
        self._expected = 0  # replies that are yet to come
        self._waiter: asyncio.Future[None] | None = None
        self._lost: str | None = None
        self._holding = False
        self._transport = cast(asyncio.Transport, protocol.transport)
        self._transport.set_protocol(self)
        # pause_writing is then called when some bytes have not left yet, resume_writing when all have.
        self._transport.set_write_buffer_limits(high=1, low=0)

    @property
    def unsent(self) -> bool:
        """Whether some of the bytes written have not left this process, or never did."""
        return self._holding

    @property
    def outstanding(self) -> int:
        """The number of replies that are due and not read yet."""
        return self._expected + len(self._unread)

    @property
    def heard(self) -> Reply | None:
        """The next reply that has arrived and is not read yet, or None."""
        return self._unread[0] if self._unread else None

    @property
    def open(self) -> bool:
        """Whether replies may still come."""
        return self._lost is None

    @property
    def in_step(self) -> bool:
        """Whether it is open, and every reply belonged to a command and was read."""
        return self._lost is None and not self.outstanding and not self._buffer and not self._lines

    def ask(self, commands: bytes, replies: int = 1) -> None:
        """Write one or more commands, to which `replies` replies are due. Raises ConnectionLost."""
        if not self._expected and (self._buffer or self._lines):
            self._lose("a reply to no command")
        if self._lost is not None:
            raise ConnectionLost(self._lost)
        self._expected += replies
        self._transport.write(commands)

    async def reply(self) -> Reply:
        """The next reply, in the order of the commands. Raises ConnectionLost when none will come."""
        if not self._unread:
            if self._lost is not None:
                raise ConnectionLost(self._lost)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._unread.popleft()

    def abort(self) -> None:
        """Close at once. Bytes that have not left yet are discarded."""
        self._lose("connection lost")

    def data_received(self, data: bytes) -> None:
        # A reply may come in pieces, and replies together.
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._hear(line + b"\n")
        if len(self._buffer) > LONGEST_LINE:
            self._lose("a line without an end")

    def _hear(self, line: bytes) -> None:
        if self._lost is not None:
            return
        found = _REPLY_LINE.match(line)
        if found is None or (self._lines and self._lines[0][:3] != found[1]):
            self._lose("not an SMTP reply: " + line[:200].decode("utf-8", "replace"))
        elif not self._expected:
            self.surplus = Reply(int(found[1]), _text(line))
            self._lose(f"a reply to no command: {self.surplus.code} {self.surplus.text[:200]}")
        elif found[2] == b"-":
            self._lines.append(line)
            if len(self._lines) > MOST_LINES:
                self._lose("a reply without an end")
        else:
            self._conclude(int(found[1]), line)

    def _conclude(self, code: int, last: bytes) -> None:
        text = "\n".join(map(_text, (*self._lines, last))) if self._lines else _text(last)
        self._lines.clear()
        self._expected -= 1
        self._unread.append(Reply(code, text))
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _lose(self, why: str) -> None:
        """Close the connection. Replies that have arrived can still be read."""
        if self._lost is None:
            self._end(why)
            self._transport.abort()

    def _end(self, why: str) -> None:
        self._lost = why
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionLost(why))

    def eof_received(self) -> None:
        self._lose("connection lost")

    def connection_lost(self, exc: Exception | None) -> None:
        # Without abort(): a transport that was closed while it had bytes to send would call this twice.
        if self._lost is None:
            self._end("connection lost")

    def pause_writing(self) -> None:
        self._holding = True

    def resume_writing(self) -> None:
        self._holding = self._holding and self._lost is not None


def _text(line: bytes) -> str:
    return line[4:].strip().decode("utf-8", "surrogateescape")
