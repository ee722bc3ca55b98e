"""`waypost worker`: a resident worker for a Prefect server that runs elsewhere."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from waypost.cli.console import out
from waypost.cli.starting import prefect_api, warn
from waypost.place import connect
from waypost.settings import Settings


def worker(
    limit: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 10,
) -> None:
    """Take runs from the work pool and send, until Ctrl-C. Start as many as you need."""
    settings = connect(Settings())
    api = prefect_api()
    warn(settings)
    from deployments.serve import serve
    from waypost.process import run_until_signalled

    async def main(stop: asyncio.Event) -> None:
        def ready() -> None:
            out.print(f"taking runs of the pool {settings.work_pool} from {api}; Ctrl-C stops")

        await serve(settings, stop, ready, limit)

    run_until_signalled(main)
