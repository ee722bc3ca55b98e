"""`waypost gateway`: the HTTP front door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.channels.smtp_url import is_loopback
from waypost.cli.console import err, out
from waypost.cli.starting import warn_of_broken_types
from waypost.ledger import checked
from waypost.place import connect
from waypost.secret import secret_key
from waypost.settings import Settings

if TYPE_CHECKING:
    from waypost.gateway.server import Listens


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
    if certificate is not None and key is not None:
        from waypost.gateway import tls

        tls.check(certificate, key)
    settings = connect(Settings())
    warn_of_broken_types()
    from waypost.gateway.server import Listens
    from waypost.process import run_until_signalled

    where = Listens(host, port, certificate, key)
    run_until_signalled(lambda stop: serve(settings, where, stop, _tell))
    out.print("stopped; everything accepted is kept")


async def serve(
    settings: Settings, where: Listens, stop: asyncio.Event, ready: Callable[[Listens, int], None]
) -> None:
    """Accept notifications until `stop`. `ready` is told where, and how many API keys work.

    Raises waypost.gateway.server.OpenDoor and PortTaken."""
    from deployments.api import prefect_answers
    from deployments.registry import registered
    from waypost.gateway import server
    from waypost.gateway.app import gateway as application
    from waypost.gateway.tokens import accepted_tokens
    from waypost.process import settle_in

    tokens, https = accepted_tokens(settings), where.certificate is not None
    async with checked(settings) as ledger:
        keys = await server.check_keys(ledger, where.host, has_tokens=tokens is not None)
        app = application(
            ledger,
            registered(),
            secret_key(settings),
            prefect_answers,
            tokens=tokens,
            https=https,
            private_webhooks=settings.webhooks_allow_private,
        )
        settle_in()
        await server.listen(app, where, stop, lambda found: ready(found, keys))


def _tell(found: Listens, keys: int) -> None:
    out.print(f"gateway at {found.url}; Ctrl-C stops", soft_wrap=True)
    if not keys:
        out.print("no API key yet: `waypost keys create my-app` makes one")
    if found.certificate is None and not is_loopback(found.host):
        err.print(
            "[yellow]keys come here in the clear:[/] let a proxy serve TLS before it, or give --certificate "
            "and --key",
            soft_wrap=True,
        )
