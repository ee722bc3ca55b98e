"""Whether workers know a type, for commands that otherwise read only the ledger."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from waypost.config.instance import connect
from waypost.config.settings import Settings

OVERDUE = timedelta(seconds=2)  # after this time Prefect is asked: a worker takes a known type up at once


def unknown_type(settings: Settings, type: str) -> str:
    """Why no worker takes up notifications of `type`, and what to do. Empty if a worker knows the type, or if
    Prefect does not say."""
    settings = connect(settings)
    from prefect.settings import get_current_settings

    from waypost.deployments.doctor import obstacles
    from waypost.deployments.registry import registered

    if not get_current_settings().api.url or type not in registered():
        return ""
    seen = asyncio.run(obstacles.look(settings.work_pool, type))
    return obstacles.unknown_type(type, seen) if seen else ""
