"""`waypost gateway`: the HTTP front door."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from waypost.cli.console import out
from waypost.cli.starting import warn_of_broken_types
from waypost.gateway.server import Listens
from waypost.ledger import checked
from waypost.place import connect
from waypost.secret import secret_key
from waypost.settings import Settings


def gateway(
    host: Annotated[str, typer.Option(help="Where to listen; elsewhere than here only with keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of HTTP; 0 finds one.")] = 8080,
    certificate: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file; with --key it serves TLS.")
    ] = None,
    key: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file.")] = None,
) -> None:
    """Accept notifications over HTTP, until Ctrl-C. What it has answered 202 to is durable."""
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key go together")
    settings = connect(Settings())
    warn_of_broken_types()
    from waypost.process import run_until_signalled

    where = Listens(host, port, certificate, key)
    run_until_signalled(lambda stop: _serve(settings, where, stop))
    out.print("stopped; everything accepted is kept")


async def _serve(settings: Settings, where: Listens, stop: asyncio.Event) -> None:
    from deployments.api import prefect_answers
    from deployments.registry import registered
    from waypost.gateway import server
    from waypost.gateway.app import gateway as application
    from waypost.process import settle_in

    async with checked(settings) as ledger:
        keys = await server.check_keys(ledger, where.host, has_tokens=False)
        app = application(
            ledger, registered(), secret_key(settings), prefect_answers, https=where.certificate is not None
        )
        settle_in()

        def ready(found: Listens) -> None:
            out.print(f"gateway at {found.url}; Ctrl-C stops", soft_wrap=True)
            if not keys:
                out.print("no API key yet: `waypost keys create my-app` makes one")

        await server.listen(app, where, stop, ready)
