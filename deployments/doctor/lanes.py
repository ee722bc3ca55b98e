"""Checks of the lanes that Prefect runs."""

from __future__ import annotations

from waypost.deployments.doctor.finding import Finding
from waypost.deployments.paused_lanes import Stopped


def lane_findings(found: Stopped) -> list[Finding]:
    """One finding for each reason why lanes are stopped."""
    told = (why.partition("; ") for why in dict.fromkeys(found.values()))
    return [Finding("lanes", ok=False, found=what, advice=advice) for what, _, advice in told]
