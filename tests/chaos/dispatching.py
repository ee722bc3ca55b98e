"""Dispatching alone, for a work pool whose runs others take: `python -m chaos.dispatching`."""

from __future__ import annotations

import asyncio

from deployments.processes.worker import dispatch
from waypost.config.settings import Settings
from waypost.system.process import run_until_signalled


async def main(stop: asyncio.Event) -> None:
    """Until SIGTERM."""
    await dispatch(Settings(), stop, lambda: print("dispatching", flush=True))


if __name__ == "__main__":
    run_until_signalled(main)
