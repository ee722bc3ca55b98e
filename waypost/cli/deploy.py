"""`waypost deploy`: deploy every type in flows/ to the Prefect server."""

from __future__ import annotations

import asyncio

from waypost.cli.output import AsJson, out, print_json, table
from waypost.cli.startup_checks import check_types, warn
from waypost.config.instance import connect
from waypost.config.settings import Settings


def deploy(as_json: AsJson = False) -> None:
    """Create or update the work pool and a deployment per type; schedules stay."""
    settings = connect(Settings())
    from deployments import registry
    from deployments.deploy import deploy as deploy_types
    from deployments.prefect_api import check, prefect_client

    check_types()
    warn(settings)

    async def run() -> dict[str, str]:
        async with prefect_client() as client:
            await check(client)
            found = await deploy_types(client, settings.work_pool)
        return {registry.find(name).deployment: str(id) for name, id in sorted(found.items())}

    deployed = asyncio.run(run())
    if as_json:
        print_json(deployed)
    else:
        out.print(table("deployment", "id", rows=deployed.items()))
