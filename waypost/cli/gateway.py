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
    public: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS:]PORT",
            help="Also serve the pages on which recipients unsubscribe and choose. Needs WAYPOST_PUBLIC_URL. "
            "A port alone is on loopback; 0 picks a free one.",
        ),
    ] = None,
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
    there = _public(settings, public, certificate, key)
    warn(settings)
    from waypost.deployments.processes.gateway import serve
    from waypost.gateway.listen import ListenAddress

    where = ListenAddress(host, port, certificate, key)
    run_over_a_ledger(lambda stop: serve(settings, where, stop, _tell, mail, there))
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


def _public(
    settings: Settings, given: str | None, certificate: Path | None, key: Path | None
) -> ListenAddress | None:
    """Where the pages of recipients are served. Raises BadParameter."""
    from waypost.gateway.listen import ListenAddress

    if given is None:
        return None
    if settings.public_url is None:
        raise typer.BadParameter(
            "the pages have no address: set WAYPOST_PUBLIC_URL to the https:// address under which "
            "recipients reach them",
            param_hint="--public",
        )
    address, _, port = given.rpartition(":")
    host = address.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not (port.isdecimal() and port.isascii() and int(port) <= 65535):
        raise typer.BadParameter("not [ADDRESS:]PORT such as 8090 or 0.0.0.0:8090", param_hint="--public")
    return ListenAddress(host, int(port), certificate, key, option="--public")


def _tell(found: ListenAddress, keys: int, mail: Sequence[str], public: ListenAddress | None = None) -> None:
    if public is not None:
        out.print(f"pages of recipients at {public.url}", soft_wrap=True)
    for url in mail:
        out.print(f"mail is submitted at {url}", soft_wrap=True)
    out.print(f"gateway at {found.url}; Ctrl-C stops", soft_wrap=True)
    if not keys:
        out.print("no API key yet: create one with `waypost keys create my-app`")
    if found.certificate is None and not is_loopback(found.host):
        warn_of("API keys arrive without TLS: put a TLS proxy in front, or add --certificate and --key")
