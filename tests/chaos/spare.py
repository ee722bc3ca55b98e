"""`waypost worker`, or another command, with its imports done, waiting for a line on its standard input that
names it.

A campaign keeps one ready, so that a kill costs no start. `python -m chaos.spare WHERE` makes it one that is
lost (kill -9) at an exact place: with its first run Pending, or with that run begun.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from deployments.processes import worker  # noqa: F401
from deployments.registry import registered
from deployments.resident_worker.worker import ResidentWorker
from waypost.cli import main


async def die(*_: Any, **__: Any) -> Any:
    """Be gone."""
    os.kill(os.getpid(), signal.SIGKILL)


def prepare(where: str) -> None:
    """Import what runs need, and be lost at `where`."""
    registered()
    match where:
        case "pending":
            ResidentWorker._hold_and_run = die  # type: ignore[method-assign]
        case "running":
            ResidentWorker._run_to_its_end = die  # type: ignore[method-assign]
        case _:
            pass


if __name__ == "__main__":
    prepare(sys.argv[1] if len(sys.argv) > 1 else "")
    print("prepared", flush=True)
    if command := sys.stdin.readline():
        sys.argv = ["waypost", *command.split()]
        main()
