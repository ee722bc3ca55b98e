"""What the peers and Waypost have in common: orders are posted to them, and a worker sends the mails."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CONNECTIONS = 64


class Opened(Protocol):
    """A side whose worker runs."""

    log: Path

    async def post(self, series: str, count: int) -> float:
        """Post `count` orders to addresses of `series`, from a process of its own. Returns the time.time()
        just before the first, once all have been accepted."""
        ...

    async def unfinished(self) -> int:
        """How many mails are not recorded as sent."""
        ...

    async def doubtful(self) -> int | None:
        """How many mails are named as possibly sent twice; None if the side cannot know."""
        ...

    def restart(self) -> None:
        """kill -9 the worker with all its processes, and start it again at once."""
        ...


@dataclass(frozen=True, slots=True)
class Side:
    """open: its worker and what it needs, sending to the SMTP server on a port of this machine. accepted,
    sent: what it guarantees. recovers: how the mails of a killed worker come back."""

    name: str
    open: Callable[[int], AbstractAsyncContextManager[Opened]]
    accepted: str
    sent: str
    recovers: str


def kill(process: subprocess.Popen[bytes]) -> None:
    """kill -9 a process and its group; returns when the process is gone: a lock file may name its pid."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
