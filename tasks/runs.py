"""The Prefect run a task is part of, or that there is none.

A worker delivers what is urgent by the very same flows when Prefect does not answer: inside
`without_prefect` each step is the task's own function, called.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from prefect import Task, get_run_logger
from prefect.runtime import flow_run

_alone: ContextVar[bool] = ContextVar("without_prefect", default=False)


@contextmanager
def without_prefect() -> Generator[None]:
    """Steps taken in this context know no Prefect."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def alone() -> bool:
    """Whether this is a delivery without Prefect."""
    return _alone.get()


async def step(task: Task[..., Any], *arguments: Any, **options: Any) -> Any:
    """Take one step of a flow: as a task of its run, with `options` such as its name, or as it is."""
    if alone():
        return await task.fn(*arguments)
    return await (task.with_options(**options) if options else task)(*arguments)


def run_logger() -> Any:
    """The run's log, which Prefect shows; without Prefect the process's."""
    return logging.getLogger("waypost.run") if alone() else get_run_logger()


def current_flow_run() -> UUID | None:
    """The id of the flow run this code runs in, if any."""
    id = None if alone() else flow_run.id
    return UUID(str(id)) if id else None
