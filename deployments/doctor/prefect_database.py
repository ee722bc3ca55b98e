"""Whether the Prefect server deletes its old runs."""

from __future__ import annotations

from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectException

from waypost.deployments.doctor.finding import Finding

SETTING = "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs"


async def database_finding(client: PrefectClient) -> list[Finding]:
    """A note if the server keeps its runs for ever. Nothing for a server that does not tell its settings."""
    try:
        answer = await client.request("GET", "/admin/settings")
        enabled: Any = answer.json()["server"]["services"]["db_vacuum"]["enabled"]
        deletes_runs = "flow_runs" in enabled if isinstance(enabled, list) else enabled
    except (httpx.HTTPError, PrefectException, ValueError, KeyError, TypeError):
        return []
    if deletes_runs:
        return []
    found = "the Prefect server keeps its runs for ever, about 80 kB each"
    advice = f"set {SETTING} where the server runs; see `waypost docs prefect`"
    return [Finding("prefect database", ok=True, found=found, advice=advice)]
