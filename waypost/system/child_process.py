"""Child processes that end with their parent, however it ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

STARTS_WITHIN = 180.0  # a busy machine takes a while to import Prefect
RESTART_SECONDS = 1.0
OK = 200

Answers = Callable[[], Awaitable[None]]

logger = logging.getLogger("waypost.child")


class ChildFailed(RuntimeError):
    """A process did not start. Says which process, and where its log is."""


def stop_with_parent() -> None:
    """Called by a child: end as by SIGTERM once the parent is gone, even if the parent was killed by SIGKILL.

    The parent holds the other end of standard input, which closes when the parent ends.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


@dataclass(frozen=True, slots=True)
class Program:
    """`python -m module arguments`. name: in messages. ready: a URL that returns 200 once the process is up.
    log: the file of its output."""

    name: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    ready: str
    log: Path


@asynccontextmanager
async def running(program: Program) -> AsyncGenerator[None]:
    """`starting`, with a block that begins when the process answers."""
    async with starting(program) as answers:
        await answers()
        yield


@asynccontextmanager
async def starting(program: Program) -> AsyncGenerator[Answers]:
    """Run a program for the length of the block. Yields a function that waits until the process answers; from
    then on, a process that ends early is restarted. The function raises ChildFailed if the process ends or
    does not answer within three minutes.
    """
    child = _Child(program)
    process = await child.start()
    keeping: asyncio.Task[None] | None = None

    async def answers() -> None:
        nonlocal keeping
        await _until_it_answers(process, program)
        keeping = asyncio.create_task(child.keep())

    try:
        yield answers
    finally:
        if keeping is not None:
            keeping.cancel()
        await asyncio.to_thread(child.stop)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and wait until it is gone: by SIGKILL if SIGTERM does not end it."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def ending(status: int) -> str:
    """How a process ended, from its exit status; a negative status is the number of a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


class _Child:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._environment = dict(program.environment)  # as it is now
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> subprocess.Popen[bytes]:
        program = self._program
        with program.log.open("ab") as output:
            self._process = await asyncio.to_thread(
                subprocess.Popen[bytes],
                [sys.executable, "-m", program.module, *program.arguments],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops things in order
            )
        return self._process

    async def keep(self) -> None:
        """Restart the process whenever it has ended, at most once a second."""
        while self._process is not None:
            await asyncio.sleep(RESTART_SECONDS)
            if (status := self._process.poll()) is not None:
                name, log = self._program.name, self._program.log
                logger.error("the %s %s and is restarted; see %s", name, ending(status), log)
                await self.start()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process)


async def _until_it_answers(process: subprocess.Popen[bytes], program: Program) -> None:
    name, log = program.name, program.log
    loop = asyncio.get_running_loop()
    until = loop.time() + STARTS_WITHIN
    async with httpx.AsyncClient() as client:
        while loop.time() < until:
            if process.poll() is not None:
                raise ChildFailed(f"the {name} {ending(process.returncode)}; see {log}")
            try:
                if (await client.get(program.ready, timeout=2)).status_code == OK:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise ChildFailed(f"the {name} did not respond within {STARTS_WITHIN:g} s; see {log}")
