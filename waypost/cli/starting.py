"""What the commands that run for long look at first."""

from __future__ import annotations

import os

import typer
from rich.markup import escape

from waypost.cli.console import err
from waypost.settings import Settings, unknown


def prefect_api() -> str:
    """The Prefect API that is set, for messages. Raises typer.BadParameter when none is."""
    from prefect.settings import get_current_settings

    from deployments.api import api_url

    if get_current_settings().api.url:
        return api_url()
    raise typer.BadParameter(
        "no Prefect API is set: set it to your server, or use `waypost up`", param_hint="PREFECT_API_URL"
    )


def check_types() -> None:
    """Raise BrokenType unless all in flows/ can be deployed."""
    from deployments import registry

    registry.check()
    check_schedules()


def check_schedules() -> None:
    """Raise BrokenType for a schedule that is none."""
    from deployments import registry

    if faults := registry.unscheduled():
        raise registry.BrokenType("; ".join(faults))


def warn_of_settings() -> None:
    """Say which settings are none: a misspelt one changes nothing, and nothing else would say so."""
    for fault in unknown(os.environ):
        err.print(f"[red]not taken:[/] {escape(fault)}", soft_wrap=True)


def warn(settings: Settings) -> None:
    """Say what is wrong and stops nothing: files of flows/ that are left out while the types of the others
    go out, templates and routes with which some of these will fail."""
    from deployments.registry import broken
    from deployments.type_checkup import route_faults, template_faults
    from waypost.providers import providers

    for fault in broken():
        err.print(f"[red]left out:[/] {escape(fault)}", soft_wrap=True)
    for fault in (*template_faults(settings), *route_faults(providers(settings))):
        err.print(f"[red]wrong:[/] {escape(fault)}", soft_wrap=True)
