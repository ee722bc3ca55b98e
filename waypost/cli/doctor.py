"""`waypost doctor`: check that everything works, and say what to do if not."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape

from deployments.doctor.finding import Finding
from waypost.cli.errors import explained, pages
from waypost.cli.output import AsJson, out, print_json
from waypost.config.instance import connect
from waypost.config.settings import Settings

Domain = Annotated[
    bool, typer.Option("--domain", help="Also check the sender's domain in DNS: SPF, DKIM, DMARC.")
]


def doctor(as_json: AsJson = False, domain: Domain = False) -> None:
    """Check settings, ledger, Prefect, worker, templates, mail servers and gateway.

    Exit status 0 only when every check passes."""
    findings = _examine(domain)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            mark = "[green]ok  [/]" if finding.ok else "[red]BAD [/]"
            out.print(f"{mark} [bold]{finding.what:<12}[/] {escape(finding.found)}", soft_wrap=True)
            if finding.advice:
                out.print(f"     {'':<12} {escape(finding.advice)}", soft_wrap=True)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _examine(domain: bool) -> list[Finding]:
    try:
        settings = connect(Settings())
    except ValidationError as error:
        advice = f"correct that setting; see {pages(error)}"
        return [Finding("settings", ok=False, found=explained(error) or "", advice=advice)]
    return asyncio.run(_all(settings, domain))


async def _all(settings: Settings, domain: bool) -> list[Finding]:
    from deployments.doctor.checks import examine

    findings = await examine(settings)
    if domain and not any(one.what == "signing" and not one.ok for one in findings):
        from deployments.doctor.sender_domain import examine_domain
        from waypost.net.dns import txt

        findings += await examine_domain(settings, txt)
    return findings
