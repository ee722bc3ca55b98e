"""`waypost gateway`: the front door, over HTTP and SMTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.channels.smtp_url import is_loopback
from waypost.cli.console import err, out
from waypost.cli.starting import warn
from waypost.ledger import checked, installation
from waypost.place import connect
from waypost.secret import secret_key
from waypost.settings import Settings

if TYPE_CHECKING:
    from waypost.gateway.server import Listens
    from waypost.gateway.smtp.listening import Listens as MailListens


PATIENCE = timedelta(seconds=5)  # whoever posts is told by then, in good time before giving up


def gateway(
    host: Annotated[str, typer.Option(help="Where to listen; elsewhere than here only with keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of HTTP; 0 finds one.")] = 8080,
    certificate: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file; with --key it serves TLS.")
    ] = None,
    key: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file.")] = None,
    smtp: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of SMTP with STARTTLS; 0 finds one.")
    ] = None,
    smtps: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of SMTP in TLS from the start; 0 finds one.")
    ] = None,
    smtp_plain: Annotated[
        bool, typer.Option("--smtp-plain", help="--smtp without TLS: to try it, on this machine alone.")
    ] = False,
) -> None:
    """Accept notifications over HTTP, and mails by SMTP, until Ctrl-C. What it has answered 202 or 250 to is
    durable."""
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key go together")
    if certificate is not None and key is not None:
        from waypost.gateway import tls

        tls.check(certificate, key)
    mail = _mail(host, smtp, smtps, smtp_plain, has_tls=certificate is not None)
    settings = connect(Settings())
    warn(settings)
    from waypost.gateway.server import Listens
    from waypost.process import run_until_signalled

    where = Listens(host, port, certificate, key)
    run_until_signalled(lambda stop: serve(settings, where, stop, _tell, mail))
    out.print("stopped; everything accepted is kept")


def _mail(host: str, smtp: int | None, smtps: int | None, plain: bool, has_tls: bool) -> list[MailListens]:
    """Where mails are to be submitted. Raises BadParameter for where a key would be heard by others."""
    from waypost.gateway.smtp.listening import Listens as MailListens

    if plain and (smtp is None or has_tls):
        raise typer.BadParameter("--smtp-plain goes with --smtp, and without --certificate")
    if plain and not is_loopback(host):
        raise typer.BadParameter(f"--smtp-plain is for this machine alone, and {host} is heard by others")
    if not has_tls and (smtps is not None or (smtp is not None and not plain)):
        raise typer.BadParameter(
            "SMTP takes keys in TLS alone: give --certificate and --key, or try it on this machine with "
            "--smtp 2587 --smtp-plain"
        )
    asked = ((smtp, False), (smtps, True))
    return [MailListens(host, port, implicit) for port, implicit in asked if port is not None]


async def serve(
    settings: Settings,
    where: Listens,
    stop: asyncio.Event,
    ready: Callable[[Listens, int], None],
    mail: Sequence[MailListens] = (),
) -> None:
    """Accept notifications until `stop`. `ready` is told where, and how many API keys work. mail: where SMTP
    is spoken besides.

    Raises waypost.gateway.server.OpenDoor and PortTaken."""
    from deployments.api import prefect_answers
    from deployments.registry import registered
    from waypost.gateway import server
    from waypost.gateway.app import gateway as application
    from waypost.gateway.smtp.listening import submissions
    from waypost.gateway.tokens import accepted_tokens
    from waypost.process import settle_in

    tokens, https = accepted_tokens(settings), where.certificate is not None
    async with checked(settings, PATIENCE) as ledger:
        # SMTP takes no tokens.
        key = secret_key(settings)
        await installation.check_key(ledger, key)
        keys = await server.check_keys(ledger, where.host, has_tokens=tokens is not None and not mail)
        app = application(
            ledger,
            registered(),
            key,
            prefect_answers,
            tokens=tokens,
            https=https,
            private_webhooks=settings.webhooks_allow_private,
        )
        settle_in()
        async with submissions(app.state.door, settings, where, mail, stop) as opened:

            def listens(found: Listens) -> None:
                for one in opened:
                    out.print(f"mail is submitted at {one.url}", soft_wrap=True)
                ready(found, keys)

            await server.listen(app, where, stop, listens)


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
