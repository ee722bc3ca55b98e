"""Whether workers know a type, for commands that otherwise read only the ledger."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from waypost.config.instance import connect
from waypost.config.settings import Settings

OVERDUE = timedelta(seconds=2)  # after this time Prefect is asked: a worker takes a known type up at once


def unknown_type(settings: Settings, type: str) -> str:
    """Why no worker takes up notifications of `type`, and what to do. Empty if a worker knows the type, or if
    Prefect does not say. Where nothing names a Prefect server, Prefect is not even imported."""
    settings = connect(settings)
    if not os.environ.get("PREFECT_API_URL"):
        return ""
    from waypost.deployments.doctor import obstacles
    from waypost.deployments.registry import registered

    if type not in registered():
        return ""
    seen = asyncio.run(obstacles.look(settings.work_pool, type))
    return obstacles.unknown_type(type, seen) if seen else ""
