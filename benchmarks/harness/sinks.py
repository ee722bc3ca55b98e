"""Mail servers that take the mail: a sink that records when each mail came, and a fast one for rates."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.figures import NotMeasured
from benchmarks.harness.processes import free_port, python, running
from waypost.system import child_process

SMTP_SINK = "/usr/sbin/smtp-sink"


class Arrivals:
    """The reports of recording_sink.py: when a mail to an address was taken."""

    def __init__(self, url: str) -> None:
        self.url = url
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
        port = int(await process.stdout.readline())
        sink = Arrivals(f"smtp://127.0.0.1:{port}?connections=8")
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
        if found := shutil.which("smtp-sink") or shutil.which(SMTP_SINK):
            name = "postfix smtp-sink"
            as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
            command = [found, *as_nobody, f"{host}:{port}", "1000"]
            stack.enter_context(running(command, os.environ, folder / "sink.log"))
            await _until_it_listens(host, port)
        else:
            name = "the development mailbox (postfix's smtp-sink is not installed: rates are lower)"
            await stack.enter_async_context(_mailbox(folder, host, port))
        yield FastSink(name, host, port)


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
