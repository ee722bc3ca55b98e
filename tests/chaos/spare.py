"""A process with its imports done that waits for a command, such as `worker`, on its standard input, and then
runs it.

A campaign keeps one ready, so that a kill does not wait for a start. `python -m chaos.spare WHERE` makes the
process die (kill -9) at an exact place: with its first run Pending, or with that run begun.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from waypost.cli import main
from waypost.deployments.processes import worker  # noqa: F401
from waypost.deployments.registry import registered
from waypost.deployments.resident_worker import run_steps
from waypost.deployments.resident_worker.worker import ResidentWorker


def die(*_: Any, **__: Any) -> Any:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def prepare(where: str) -> None:
    """Import what runs need, and arrange the death at `where`."""
    registered()
    match where:
        case "pending":
            run_steps.in_hand = die  # type: ignore[assignment]
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
