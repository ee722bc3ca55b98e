"""Mail servers that take the mail: a sink that records when each mail came, and a fast one for rates."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.figures import NotMeasured
from benchmarks.harness.processes import free_port, python, running
from waypost.system import child_process

SMTP_SINK = "/usr/sbin/smtp-sink"
LINE = 200  # bytes; more than two lines of its counters
LOOKS_EVERY = 0.01  # seconds


class Arrivals:
    """The reports of recording_sink.py on `port`: when a mail to an address was taken."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"smtp://127.0.0.1:{port}?connections=8"
        self.mails: Counter[str] = Counter()
        self._awaited: dict[str, asyncio.Future[float]] = {}

    async def taken_at(self, address: str, within: float) -> float:
        """The time.time() at which the first mail to `address` was taken. Raises NotMeasured."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._future(address)), within)
        except TimeoutError:
            raise NotMeasured(f"no mail to {address} within {within:g} s") from None

    @property
    def duplicates(self) -> int:
        """Mails beyond the first to an address."""
        return self.mails.total() - len(self.mails)

    async def listen(self, lines: asyncio.StreamReader) -> None:
        """Record the sink's reports until it ends."""
        async for line in lines:
            note = json.loads(line)
            self.mails[note["to"]] += 1
            taken = self._future(note["to"])
            if not taken.done():
                taken.set_result(note["at"])

    def _future(self, address: str) -> asyncio.Future[float]:
        return self._awaited.setdefault(address, asyncio.get_running_loop().create_future())


@asynccontextmanager
async def arrivals() -> AsyncGenerator[Arrivals]:
    """A sink that records the moment of every mail."""
    process = await asyncio.create_subprocess_exec(
        *python("benchmarks.harness.recording_sink"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        sink = Arrivals(int(await process.stdout.readline()))
        listening = asyncio.create_task(sink.listen(process.stdout))
        yield sink
        listening.cancel()
    finally:
        process.kill()
        await process.wait()


@dataclass(frozen=True, slots=True)
class FastSink:
    """A sink for rates, with its name and address."""

    name: str
    host: str
    port: int

    def url(self, connections: int) -> str:
        return f"smtp://{self.host}:{self.port}?connections={connections}"


@asynccontextmanager
async def fast(folder: Path) -> AsyncGenerator[FastSink]:
    """Postfix's smtp-sink if it is installed, else Waypost's own development mailbox."""
    host, port = "127.0.0.1", free_port()
    async with AsyncExitStack() as stack:
        if found := _smtp_sink():
            name = "postfix smtp-sink"
            stack.enter_context(running([*found, f"{host}:{port}", "1000"], os.environ, folder / "sink.log"))
            await _until_it_listens(host, port)
        else:
            name = "the development mailbox (postfix's smtp-sink is not installed: rates are lower)"
            await stack.enter_async_context(_mailbox(folder, host, port))
        yield FastSink(name, host, port)


class CountingSink:
    """smtp-sink on `port`, which writes a line of counters for every mail. The file is read now and then:
    another process woken for each mail would take time from the sides."""

    def __init__(self, port: int, counters: Path) -> None:
        self.port = port
        self._counters = counters

    def taken(self) -> int:
        """How many mails it has taken."""
        with self._counters.open("rb") as file:
            file.seek(max(0, self._counters.stat().st_size - LINE))
            return int((re.findall(rb"mesg=(\d+)\r", file.read()) or [0])[-1])

    async def taken_at(self, number: int, stalled: float) -> float:
        """The time.time() at which mail number `number` had been taken. Raises NotMeasured when no mail comes
        for `stalled` seconds."""
        before, moved_at = self.taken(), time.time()
        while True:
            now, taken = time.time(), self.taken()
            if taken >= number:
                return now
            if taken > before:
                before, moved_at = taken, now
            if now - moved_at > stalled:
                raise NotMeasured(f"{taken} of {number} mails came, and no more for {stalled:g} s")
            await asyncio.sleep(LOOKS_EVERY)


@asynccontextmanager
async def counting(folder: Path) -> AsyncGenerator[CountingSink]:
    """smtp-sink with its counters. Raises NotMeasured where it is not installed."""
    if not (found := _smtp_sink()):
        raise NotMeasured("postfix's smtp-sink is not installed")
    port, counters = free_port(), folder / "counters"
    with running([*found, "-c", f"127.0.0.1:{port}", "1000"], os.environ, counters):
        await _until_it_listens("127.0.0.1", port)
        yield CountingSink(port, counters)


def _smtp_sink() -> list[str]:
    """The command of smtp-sink; empty where it is not installed."""
    found = shutil.which("smtp-sink") or shutil.which(SMTP_SINK)
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    return [found, *as_nobody] if found else []


def _mailbox(folder: Path, host: str, port: int):
    texts = free_port()
    program = child_process.Program(
        "development mailbox",
        "waypost.mailbox",
        [str(folder / "mail"), host, str(port), str(texts)],
        os.environ,
        ready=f"http://{host}:{texts}/health",
        log=folder / "sink.log",
    )
    return child_process.running(program)


async def _until_it_listens(host: str, port: int) -> None:
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise NotMeasured("smtp-sink did not come up")
