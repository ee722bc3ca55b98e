"""`waypost doctor`: check that everything works, and say what to do if not."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from waypost.cli.errors import explained, pages
from waypost.cli.output import AsJson, out, print_json, wrapped
from waypost.config.instance import connect
from waypost.config.settings import Settings
from waypost.deployments.doctor.finding import Finding, Level

Domain = Annotated[
    bool, typer.Option("--domain", help="Also check SPF, DKIM and DMARC of the sender's domain, in DNS.")
]

_MARKS = {Level.OK: ("ok", "green"), Level.NOTE: ("note", "yellow"), Level.BAD: ("BAD", "red")}
_INDENT = 18


def doctor(as_json: AsJson = False, domain: Domain = False) -> None:
    """Check every part, and say what to do about faults.

    The parts are settings, types, categories, ledger, Prefect, workers, templates, mail servers,
    gateway and pages of recipients. Each line is
    ok, note (it works, with something to know) or BAD. Exit status 0 only when no line is BAD.
    """
    findings = _examine(domain)
    if as_json:
        print_json([finding_as_json(one) for one in findings])
    else:
        for finding in findings:
            _tell(finding)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def finding_as_json(one: Finding) -> dict[str, object]:
    """For `--json`."""
    return {"what": one.what, "ok": one.ok, "level": one.level, "found": one.found, "advice": one.advice}


def _tell(finding: Finding) -> None:
    mark, style = _MARKS[finding.level]
    head = Text.assemble((f"{mark:<4} ", style), (f"{finding.what:<12} ", "bold"))
    below = " " * _INDENT
    out.print(head.append(wrapped(finding.found, _INDENT)), soft_wrap=True)
    if finding.advice:
        out.print(Text(below + wrapped(finding.advice, _INDENT), "dim"), soft_wrap=True)


def _examine(domain: bool) -> list[Finding]:
    try:
        settings = connect(Settings())
    except ValidationError as error:
        advice = f"correct that setting; see {pages(error)}"
        return [Finding("settings", ok=False, found=explained(error) or "", advice=advice)]
    return asyncio.run(_all(settings, domain))


async def _all(settings: Settings, domain: bool) -> list[Finding]:
    from waypost.deployments.doctor.checks import examine

    findings = await examine(settings)
    if domain and not any(one.what == "signing" and not one.ok for one in findings):
        from waypost.deployments.doctor.sender_domain import examine_domain
        from waypost.net.dns import txt

        findings += await examine_domain(settings, txt)
    return findings
