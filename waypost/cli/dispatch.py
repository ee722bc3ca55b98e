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
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Most Prefect runs in flight.")] = 10,
) -> None:
    """Start runs for due notifications, until Ctrl-C.

    It also reclaims expired batches, and corrects run states in Prefect. `waypost worker` does the same. Use
    `waypost dispatch` for a work pool of another type.
    """
    settings = connect(Settings())
    api = prefect_api()
    warn(settings)
    from waypost.deployments.dispatcher.heartbeat import announce
    from waypost.deployments.processes.worker import dispatch as serve_dispatch

    async def main(stop: asyncio.Event) -> None:
        def ready() -> None:
            out.print(f"dispatching to the pool {settings.work_pool} of {api}; Ctrl-C stops", soft_wrap=True)

        async with announce(settings.work_pool):
            await serve_dispatch(settings, stop, ready, limit)

    run_over_a_ledger(main)
