"""A TCP proxy to a server, which may be slow, fall silent, or refuse connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import Enum, auto

HOST = "127.0.0.1"


class Weather(Enum):
    """What happens to the bytes."""

    FAIR = auto()
    SILENT = auto()  # connections are accepted, and no bytes pass
    GONE = auto()  # new connections are refused, and open ones are lost


class Line:
    """Runs in a thread of its own. delay: seconds that requests take to arrive."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._weather = Weather.FAIR
        self.port = 0
        self.delay = 0.0
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._call(self._listen())

    def be(self, weather: Weather) -> None:
        """Change the weather, for open connections too."""
        self._call(self._become(weather))

    def close(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _end(self) -> None:
        await self._become(Weather.GONE)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._carry, HOST, self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _become(self, weather: Weather) -> None:
        before, self._weather = self._weather, weather
        if weather is Weather.GONE and self._server is not None:
            self._server.close()
            for end in self._ends:
                end.transport.abort()
        elif before is Weather.GONE:
            await self._listen()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        with suppress(OSError):
            answers, there = await asyncio.open_connection(HOST, self._to)
            self._ends.add(there)
            await asyncio.gather(
                self._pump(reader, there, asks=True), self._pump(answers, writer, asks=False)
            )

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asks: bool) -> None:
        """Copy the bytes; each piece arrives `delay` seconds later, whatever came before it."""
        with suppress(OSError):
            while data := await source.read(65536):
                self._loop.call_later(self.delay if asks else 0.0, self._pass_on, sink, data)
        self._loop.call_later(self.delay, sink.close)
        self._ends.discard(sink)

    def _pass_on(self, sink: asyncio.StreamWriter, data: bytes) -> None:
        if self._weather is Weather.FAIR and not sink.is_closing():
            sink.write(data)


@contextmanager
def line(port: int) -> Generator[Line]:
    """A line to a port of this machine that lasts as long as the block."""
    made = Line(port)
    try:
        yield made
    finally:
        made.close()
