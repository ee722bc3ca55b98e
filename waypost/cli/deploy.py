"""`waypost deploy`: deploy every type in flows/ to the Prefect server."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from waypost.cli.output import AsJson, print_json, show, table
from waypost.cli.output import warn as warn_of
from waypost.cli.startup_checks import check_types, warn
from waypost.config.instance import connect
from waypost.config.settings import Settings


def deploy(
    automations: Annotated[
        bool,
        typer.Option(
            "--automations",
            help="Also create automations for failed mail, a provider that is down, a "
            "backlog and missed deadlines. Automations of the same names stay as they are.",
        ),
    ] = False,
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="BLOCK",
            help="Notification block that these automations use: "
            "slack-webhook/on-call. Without it, choose their actions in Prefect.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create or update a deployment for each type.

    It also creates the work pool, and the deployments waypost-retry and waypost-hold. Schedules that you
    changed in Prefect stay.
    """
    settings = connect(Settings())
    from waypost.deployments import registry
    from waypost.deployments.automations.create import NoSuchBlock, create
    from waypost.deployments.deploy import deploy as deploy_types
    from waypost.deployments.doctor.newer_types import to_restart
    from waypost.deployments.prefect_api import check, prefect_client

    check_types()
    warn(settings)

    async def run() -> tuple[dict[str, str], dict[str, str], list[str]]:
        async with prefect_client() as client:
            await check(client)
            found = await deploy_types(client, settings.work_pool)
            made = await create(client, notify) if automations or notify else {}
            old = await to_restart(client, settings.work_pool)
        deployed = {registry.find(name).deployment: str(id) for name, id in sorted(found.items())}
        return deployed, {name: str(id) for name, id in made.items()}, old

    try:
        deployed, created, old = asyncio.run(run())
    except NoSuchBlock as error:
        raise typer.BadParameter(str(error), param_hint="--notify") from None
    for fault in old:
        warn_of(fault)
    if as_json:
        print_json(deployed)
        return
    show(table("deployment", "id", rows=deployed.items()))
    if created:
        show(table("automation", "id", rows=created.items()))
