"""Starts processes for the benchmarks, and stops each by its pid however the block ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx

from benchmarks.harness.figures import NotMeasured

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 90.0
STOPS_WITHIN = 30.0


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a process with `home` and without the settings of this machine.

    Prefect's client logs a 503 response and its wait at level DEBUG only: that logger is turned up,
    so that 503s can be counted.
    """
    ours = ("PREFECT_", "WAYPOST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "WAYPOST_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOGGING_LOGGERS_PREFECT_CLIENT_LEVEL": "DEBUG",
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        **extra,
    }


def python(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module with this Python."""
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def running(
    command: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path = ROOT
) -> Generator[subprocess.Popen[bytes]]:
    """Run `command` for the length of the block, its output in `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the benchmark, which stops processes in order
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process with SIGTERM, then kill the rest of its process group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOPS_WITHIN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def run_to_end(command: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT) -> str:
    """Run `command` and return its standard output. Raises NotMeasured with its error output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise NotMeasured(f"{' '.join(command[1:4])} failed: {err.decode()[-2000:]}")
    return out.decode()


async def until(
    done: Callable[[], Awaitable[bool]], process: subprocess.Popen[bytes], what: str, log: Path
) -> None:
    """Wait until `done`. Raises NotMeasured with the end of the log when the process ends first, or after
    STARTS_WITHIN."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if await done():
            return
        await asyncio.sleep(0.1)
    raise NotMeasured(f"{what} did not come up; its log ends with:\n{log.read_text()[-2000:]}")


@asynccontextmanager
async def answering(url: str) -> AsyncGenerator[Callable[[], Awaitable[bool]]]:
    """A condition for `until`: whether `url` answers with success."""
    async with httpx.AsyncClient(timeout=2) as client:

        async def answers() -> bool:
            try:
                return (await client.get(url)).is_success
            except httpx.HTTPError:
                return False

        yield answers


def free_port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
