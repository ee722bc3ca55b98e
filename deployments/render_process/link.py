"""The connection of a worker to the process that renders."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections import deque
from typing import Any

from waypost.deployments.render_process.frames import LENGTH, Reply, Start, Started, packed, unpacked
from waypost.system.child_process import end, ending

HANGS_AFTER = 30.0  # seconds that a chunk may take; it takes a twentieth of one
STARTS_WITHIN = 60.0  # seconds
BUFFERED = 1 << 22  # bytes of replies: a chunk of mails has a megabyte

logger = logging.getLogger("waypost.render_process")


class ProcessEnded(Exception):
    """The process ended or hung before it replied. first: while it was at work on this chunk, not on an
    earlier one."""

    def __init__(self, *, first: bool) -> None:
        self.first = first
        super().__init__("the process that renders ended")


class Link:
    """A process and the connection to it. It replies in the order in which it is asked."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.takes_work = True
        self._process, self._reader, self._writer = process, reader, writer
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._hangs: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, start: Start) -> Link | None:
        """None if the process would know newer types than this. Raises OSError, EOFError, TimeoutError."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.to_thread(_popen, theirs.fileno())
        link = cls(process, *await asyncio.open_connection(sock=ours, limit=BUFFERED))
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                link._writer.write(packed(start))
                started: Started = await link._read()
        except BaseException:
            await link.close()
            raise
        if started.newer:
            await link.close()
            return None
        link._reading = asyncio.create_task(link._take_replies())
        return link

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, frame: bytes) -> Reply:
        """The reply to an Ask. Raises ProcessEnded."""
        if not self.takes_work:
            raise ProcessEnded(first=False)
        reply = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        if self._hangs is None:
            self._watch()
        self._writer.write(frame)
        return await reply

    async def close(self) -> None:
        """End the process."""
        self.takes_work = False
        self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await asyncio.to_thread(end, self._process)

    async def _read(self) -> Any:
        """The next frame. Raises EOFError."""
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        return unpacked(await self._reader.readexactly(length))

    async def _take_replies(self) -> None:
        try:
            while True:
                reply: Reply = await self._read()
                self._take(reply)
        except (EOFError, OSError):
            pass
        finally:
            self.takes_work = False
            self._fail_waiting()
        status = await asyncio.to_thread(self._process.wait)
        level = logging.WARNING if status else logging.INFO
        logger.log(level, "the process that renders %s; the next large batch starts another", ending(status))

    def _take(self, reply: Reply) -> None:
        waiting = self._waiting.popleft()
        if not waiting.done():  # its run was cancelled
            waiting.set_result(reply)
        self._watch()
        if reply.retires:
            self.takes_work = False
        if reply.retires and not self._waiting:
            self._writer.close()

    def _watch(self) -> None:
        """Count anew how long the first of those that wait takes."""
        if self._hangs is not None:
            self._hangs.cancel()
        self._hangs = None
        if self._waiting:
            self._hangs = asyncio.get_running_loop().call_later(HANGS_AFTER, self._process.kill)

    def _fail_waiting(self) -> None:
        if self._hangs is not None:
            self._hangs.cancel()
        for number, waiting in enumerate(self._waiting):
            if not waiting.done():
                waiting.set_exception(ProcessEnded(first=number == 0))
        self._waiting.clear()


def _popen(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "waypost.deployments.render_process", str(descriptor)],
        stdin=subprocess.PIPE,  # it closes when this process ends, and the other then ends too
        pass_fds=[descriptor],
        start_new_session=True,  # Ctrl-C reaches the worker alone
    )
