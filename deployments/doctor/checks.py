"""The checks behind `waypost doctor`: each looks at one thing and says what it found."""

from __future__ import annotations

import os

from waypost.config.secret_key import UNSHARED, is_unshared
from waypost.config.settings import Settings, unknown
from waypost.deployments import deploy, registry
from waypost.deployments.doctor.categories import category_findings
from waypost.deployments.doctor.finding import Finding
from waypost.deployments.doctor.gateway import examine_gateway
from waypost.deployments.doctor.ledger import ledger_findings
from waypost.deployments.doctor.pages import page_findings
from waypost.deployments.doctor.prefect import prefect_findings
from waypost.deployments.doctor.providers import provider_findings, signing_finding, template_findings
from waypost.deployments.doctor.sources import source_findings
from waypost.deployments.registry import Registered, registered
from waypost.deployments.type_files import FIX


async def examine(settings: Settings) -> list[Finding]:
    """Run every check, in the order in which faults are best fixed."""
    return [
        _settings(settings),
        *type_findings(settings),
        *category_findings(settings),
        *await ledger_findings(settings),
        *await prefect_findings(settings),
        template_findings(settings),
        signing_finding(settings),
        *await source_findings(settings),
        *await provider_findings(settings),
        *await examine_gateway(settings),
        *await page_findings(settings),
    ]


def _settings(settings: Settings) -> Finding:
    home = f"home is {settings.home}"
    if odd := unknown(os.environ):
        advice = "remove it, or use a name that `waypost docs settings` lists"
        return Finding("settings", ok=False, found=f"{home}; {'; '.join(odd)}", advice=advice)
    if is_unshared(settings):
        found, _, advice = UNSHARED.partition(": ")
        return Finding("settings", ok=False, found=f"{home}; {found}", advice=advice)
    return Finding("settings", ok=True, found=home)


def type_findings(settings: Settings) -> list[Finding]:
    """Where the project is, and which types there are."""
    return [_project(settings), _types()]


def _project(settings: Settings) -> Finding:
    if (settings.project / "flows").exists():
        return Finding("project", ok=True, found=f"{settings.project}")
    advice = "to use types of your own, run Waypost in the project's folder or set WAYPOST_PROJECT"
    found = f"{settings.project} has no flows/: only the shipped types are used"
    return Finding("project", ok=True, found=found, advice=advice)


def _types() -> Finding:
    faults = [*registry.broken(), *deploy.unscheduled()]
    if faults:
        advice = "fix the file, then run `waypost up` or `waypost deploy`; the other types keep working"
        found = "; ".join(fault.removesuffix(f"; {FIX}") for fault in faults)
        return Finding("types", ok=False, found=found, advice=advice)
    return Finding("types", ok=True, found=_origins())


def _origins() -> str:
    """The types, and where each comes from."""
    types = sorted(registered().values(), key=lambda one: one.type.name)
    own = [_named(one) for one in types if not one.source.shipped]
    shipped = [one.type.name for one in types if one.source.shipped]
    groups = {"": own, "shipped: ": shipped, "switched off: ": registry.switched_off()}
    return "; ".join(f"{what}{', '.join(names)}" for what, names in groups.items() if names)


def _named(one: Registered) -> str:
    return f"{one.type.name} ({one.file}{', replaces the shipped type' if one.replaces else ''})"
