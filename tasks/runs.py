"""The Prefect run a task is part of."""

from __future__ import annotations

from uuid import UUID

from prefect.runtime import flow_run


def current_flow_run() -> UUID | None:
    """The id of the flow run this code runs in, if any."""
    id = flow_run.id
    return UUID(str(id)) if id else None
