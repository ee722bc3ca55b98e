"""What long-running commands share: the checks at startup, and how they run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import typer

from waypost.cli.output import warn as warn_of
from waypost.config.secret_key import UNSHARED, is_unshared
from waypost.config.settings import Settings, unknown


def prefect_api() -> str:
    """The Prefect API that is set, for messages. Raises typer.BadParameter when none is."""
    from prefect.settings import get_current_settings

    from waypost.deployments.prefect_api import api_url

    if get_current_settings().api.url:
        return api_url()
    raise typer.BadParameter(
        "not set: set it to the API of your Prefect server, or use `waypost up`", param_hint="PREFECT_API_URL"
    )


def run_over_a_ledger(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)` until a signal sets `stop`. Raises FileReplaced if the ledger's file was lost
    meanwhile, so that no command says that everything is kept."""
    from waypost.ledger.database.outages import outages
    from waypost.ledger.database.sqlite_file import FileReplaced
    from waypost.system.process import EndedByItself, run_until_signalled

    try:
        run_until_signalled(main)
    except EndedByItself:
        if not outages.lost:
            raise
    if outages.lost:
        raise FileReplaced(outages.lost)


def check_types() -> None:
    """Raise BrokenType unless every type in flows/ can be deployed."""
    from waypost.deployments import registry

    registry.check()
    check_schedules()


def check_schedules() -> None:
    """Raise BrokenType for an invalid schedule."""
    from waypost.deployments import registry
    from waypost.deployments.deploy import unscheduled

    if faults := unscheduled():
        raise registry.BrokenType("; ".join(faults))


def warn_of_settings() -> None:
    """Warn of unknown settings: a misspelt setting would otherwise be ignored silently."""
    for fault in unknown(os.environ):
        warn_of(fault)


def warn(settings: Settings) -> None:
    """Warn of faults that do not stop a command: a key that other machines do not have, broken files of
    flows/, which are left out, and templates and routes with which some types will fail. A check that fails
    is itself such a fault."""
    if is_unshared(settings):
        warn_of(UNSHARED)
    for name, check in _CHECKS.items():
        try:
            faults = check(settings)
        except Exception as error:
            faults = [f"the {name} could not be checked: {type(error).__name__}; see `waypost doctor`"]
        for fault in faults:
            warn_of(fault)


def _left_out(_: Settings) -> list[str]:
    from waypost.deployments.registry import broken

    return [f"this type is left out: {fault}" for fault in broken()]


def _of_templates(settings: Settings) -> list[str]:
    from waypost.deployments.doctor.type_faults import faults_at_start

    return faults_at_start(settings)


def _of_routes(settings: Settings) -> list[str]:
    from waypost.delivery.channel_factory import providers
    from waypost.deployments.doctor.type_faults import route_faults
    from waypost.deployments.registry import registered

    return route_faults(registered().values(), providers(settings))


_CHECKS = {"types": _left_out, "templates": _of_templates, "routes": _of_routes}
