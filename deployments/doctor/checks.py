"""The checks behind `waypost doctor`: each looks at one thing and says what it found."""

from __future__ import annotations

import os

from deployments import deploy, registry
from deployments.doctor.finding import Finding
from deployments.doctor.gateway import examine_gateway
from deployments.doctor.ledger import ledger_findings
from deployments.doctor.prefect import prefect_findings
from deployments.doctor.providers import provider_findings, signing_finding, template_findings
from deployments.registry import registered
from waypost.config.secret_key import UNSHARED, is_unshared
from waypost.config.settings import Settings, unknown


async def examine(settings: Settings) -> list[Finding]:
    """Run every check, in the order in which faults are best fixed."""
    return [
        _settings(settings),
        _types(),
        *await ledger_findings(settings),
        *await prefect_findings(settings),
        template_findings(settings),
        signing_finding(settings),
        *await provider_findings(settings),
        *await examine_gateway(settings),
    ]


def _settings(settings: Settings) -> Finding:
    home = f"home is {settings.home}"
    if odd := unknown(os.environ):
        advice = "unset it, or write it as docs/settings.md does"
        return Finding("settings", ok=False, found=f"{home}; {'; '.join(odd)}", advice=advice)
    if is_unshared(settings):
        found, _, advice = UNSHARED.partition(": ")
        return Finding("settings", ok=False, found=f"{home}; {found}", advice=advice)
    return Finding("settings", ok=True, found=home)


def _types() -> Finding:
    faults = [*registry.broken(), *deploy.unscheduled()]
    if faults:
        advice = "fix it, then run `waypost up` or `waypost deploy`; a running worker keeps the other types"
        return Finding("types", ok=False, found="; ".join(faults), advice=advice)
    return Finding("types", ok=True, found=", ".join(sorted(registered())))
