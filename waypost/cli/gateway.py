"""`waypost gateway`: accept notifications over HTTP and SMTP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli.output import out
from waypost.cli.output import warn as warn_of
from waypost.cli.startup_checks import run_over_a_ledger, warn
from waypost.config.instance import connect
from waypost.config.settings import Settings
from waypost.net.hosts import is_loopback

if TYPE_CHECKING:
    from waypost.gateway.listen import ListenAddress
    from waypost.gateway.smtp.server import SubmissionAddress as MailListens


def gateway(
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on. Other than loopback requires an API key."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port for HTTP; 0 picks a free one.")
    ] = 8080,
    certificate: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="PEM file of the TLS certificate; goes with --key.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="PEM file of the certificate's private key; goes with --certificate.",
        ),
    ] = None,
    smtp: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port for SMTP with STARTTLS; 0 picks a free one."
        ),
    ] = None,
    smtps: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port for SMTP with implicit TLS; 0 picks a free one."
        ),
    ] = None,
    smtp_plain: Annotated[
        bool, typer.Option("--smtp-plain", help="Allow SMTP without TLS, on loopback only.")
    ] = False,
) -> None:
    """Accept notifications over HTTP and SMTP.

    The gateway runs until Ctrl-C. A notification that it answered with 202 (HTTP) or 250 (SMTP) is durable.
    """
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key go together: give both or neither")
    if certificate is not None and key is not None:
        from waypost.gateway import certificate as tls

        tls.check(certificate, key)
    mail = _mail(host, smtp, smtps, smtp_plain, has_tls=certificate is not None)
    settings = connect(Settings())
    warn(settings)
    from waypost.deployments.processes.gateway import serve
    from waypost.gateway.listen import ListenAddress

    where = ListenAddress(host, port, certificate, key)
    run_over_a_ledger(lambda stop: serve(settings, where, stop, _tell, mail))
    out.print("stopped; everything accepted is kept")


def _mail(host: str, smtp: int | None, smtps: int | None, plain: bool, has_tls: bool) -> list[MailListens]:
    """Where mails are submitted. Raises BadParameter if API keys would cross a network without TLS."""
    from waypost.gateway.smtp.server import SubmissionAddress as MailListens

    if plain and (smtp is None or has_tls):
        raise typer.BadParameter("--smtp-plain needs --smtp, and cannot be used with --certificate")
    if plain and not is_loopback(host):
        raise typer.BadParameter(f"--smtp-plain is for loopback only, and --host is {host}")
    if not has_tls and (smtps is not None or (smtp is not None and not plain)):
        raise typer.BadParameter(
            "SMTP needs TLS: add --certificate and --key. To try it on loopback, use --smtp 2587 --smtp-plain"
        )
    asked = ((smtp, False), (smtps, True))
    return [MailListens(host, port, implicit) for port, implicit in asked if port is not None]


def _tell(found: ListenAddress, keys: int, mail: Sequence[str]) -> None:
    for url in mail:
        out.print(f"mail is submitted at {url}", soft_wrap=True)
    out.print(f"gateway at {found.url}; Ctrl-C stops", soft_wrap=True)
    if not keys:
        out.print("no API key yet: create one with `waypost keys create my-app`")
    if found.certificate is None and not is_loopback(found.host):
        warn_of("API keys arrive without TLS: put a TLS proxy in front, or add --certificate and --key")
