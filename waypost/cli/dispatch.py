"""`waypost dispatch`: start runs for a work pool that other Prefect workers serve."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from waypost.cli.output import out
from waypost.cli.startup_checks import prefect_api, run_over_a_ledger, warn
from waypost.config.instance import connect
from waypost.config.settings import Settings


def dispatch(
    limit: Annotated[int, typer.Option(min=1, help="Runs in flight at once.")] = 10,
) -> None:
    """Start Prefect runs for due notifications, reclaim expired batches, and correct run states in Prefect,
    until Ctrl-C. `waypost worker` does this too: use this command for pools of another type."""
    settings = connect(Settings())
    api = prefect_api()
    warn(settings)
    from deployments.dispatcher.heartbeat import announce
    from deployments.processes.worker import dispatch as serve_dispatch

    async def main(stop: asyncio.Event) -> None:
        def ready() -> None:
            out.print(f"dispatching to the pool {settings.work_pool} of {api}; Ctrl-C stops")

        async with announce(settings.work_pool):
            await serve_dispatch(settings, stop, ready, limit)

    run_over_a_ledger(main)
