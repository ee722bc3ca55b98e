"""`waypost doctor`: is everything well, and if not, what to do."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape

from waypost.cli.console import AsJson, out, print_json
from waypost.cli.errors import explained, pages
from waypost.finding import Finding
from waypost.place import connect
from waypost.settings import Settings

Domain = Annotated[
    bool, typer.Option("--domain", help="Ask DNS about the sender's domain too: SPF, DKIM, DMARC.")
]


def doctor(as_json: AsJson = False, domain: Domain = False) -> None:
    """Check settings, ledger, Prefect API, worker, templates, mail servers and the gateway. Exit status 0
    only when all is well."""
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
        advice = f"mend that setting; see {pages(error)}"
        return [Finding("settings", ok=False, found=explained(error) or "", advice=advice)]
    return asyncio.run(_all(settings, domain))


async def _all(settings: Settings, domain: bool) -> list[Finding]:
    from deployments.checkup import examine

    findings = await examine(settings)
    if domain and not any(one.what == "signing" and not one.ok for one in findings):
        from waypost.dns_txt import txt
        from waypost.domain_checkup import examine_domain

        findings += await examine_domain(settings, txt)
    return findings
