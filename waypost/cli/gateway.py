"""`waypost gateway`: accept notifications over HTTP and SMTP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waypost.cli.output import err, out
from waypost.cli.startup_checks import run_over_a_ledger, warn
from waypost.config.instance import connect
from waypost.config.settings import Settings
from waypost.net.hosts import is_loopback

if TYPE_CHECKING:
    from waypost.gateway.listen import ListenAddress
    from waypost.gateway.smtp.server import SubmissionAddress as MailListens


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
    """Accept notifications over HTTP, and mails by SMTP, until Ctrl-C. A request is durable once it is
    answered with 202 or 250."""
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key go together")
    if certificate is not None and key is not None:
        from waypost.gateway import certificate as tls

        tls.check(certificate, key)
    mail = _mail(host, smtp, smtps, smtp_plain, has_tls=certificate is not None)
    settings = connect(Settings())
    warn(settings)
    from deployments.processes.gateway import serve
    from waypost.gateway.listen import ListenAddress

    where = ListenAddress(host, port, certificate, key)
    run_over_a_ledger(lambda stop: serve(settings, where, stop, _tell, mail))
    out.print("stopped; everything accepted is kept")


def _mail(host: str, smtp: int | None, smtps: int | None, plain: bool, has_tls: bool) -> list[MailListens]:
    """The addresses to listen on for mails. Raises BadParameter if others could intercept a key."""
    from waypost.gateway.smtp.server import SubmissionAddress as MailListens

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


def _tell(found: ListenAddress, keys: int, mail: Sequence[str]) -> None:
    for url in mail:
        out.print(f"mail is submitted at {url}", soft_wrap=True)
    out.print(f"gateway at {found.url}; Ctrl-C stops", soft_wrap=True)
    if not keys:
        out.print("no API key yet: `waypost keys create my-app` makes one")
    if found.certificate is None and not is_loopback(found.host):
        err.print(
            "[yellow]keys come here in the clear:[/] let a proxy serve TLS before it, or give --certificate "
            "and --key",
            soft_wrap=True,
        )
