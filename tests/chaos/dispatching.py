"""A dispatcher only, for a work pool whose runs other workers take: `python -m chaos.dispatching`."""

from __future__ import annotations

import asyncio

from waypost.config.settings import Settings
from waypost.deployments.processes.worker import dispatch
from waypost.system.process import run_until_signalled


async def main(stop: asyncio.Event) -> None:
    """Dispatch until SIGTERM."""
    await dispatch(Settings(), stop, lambda: print("dispatching", flush=True))


if __name__ == "__main__":
    run_until_signalled(main)
