"""`waypost worker`: a resident worker for a Prefect server that runs elsewhere."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from waypost.cli.output import out
from waypost.cli.startup_checks import prefect_api, run_over_a_ledger, warn
from waypost.config.instance import connect
from waypost.config.settings import Settings


def worker(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Most runs at the same time.")] = 10,
) -> None:
    """Run the flows of the work pool, until Ctrl-C.

    The Prefect server runs elsewhere: PREFECT_API_URL names it. Start as many workers as you need.
    """
    settings = connect(Settings())
    api = prefect_api()
    warn(settings)
    from waypost.deployments.processes.worker import serve

    async def main(stop: asyncio.Event) -> None:
        def ready() -> None:
            out.print(
                f"taking runs of the pool {settings.work_pool} from {api}; Ctrl-C stops", soft_wrap=True
            )

        await serve(settings, stop, ready, limit)

    run_over_a_ledger(main)
