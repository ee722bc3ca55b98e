"""The Prefect run a task is part of, or that there is none.

A worker delivers what is urgent by the very same flows when Prefect does not answer: inside
`without_prefect` each step is the task's own function, called.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

import httpx
from prefect import Task, get_run_logger
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from waypost import Batch
from waypost.ledger import NotRecorded
from waypost.ledger.engine import passes
from waypost.ledger.reaper import give_back
from waypost.runtime import Runtime

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
    """Take one step of a flow: as a task of its run, with `options` such as its name, or as it is. When it
    fails, the notifications of its batch, which is the first of `arguments`, are free at once."""
    try:
        if alone():
            return await task.fn(*arguments)
        return await (task.with_options(**options) if options else task)(*arguments)
    except Exception as error:
        if isinstance(arguments[0], Batch) and not _passes(error):
            await _give_back(cast(Batch[Any], arguments[0]), type(error).__name__)
        raise


def _passes(error: Exception) -> bool:
    """Whether no notification can be blamed: the ledger or Prefect did not do its part. Then the batch is
    taken back when its lease has lapsed."""
    return passes(error) or isinstance(error, (NotRecorded, httpx.HTTPError, PrefectException))


async def _give_back(batch: Batch[Any], kind: str) -> None:
    try:
        await give_back((await Runtime.current()).ledger, batch.id, batch.type, kind)
    except Exception as error:
        run_logger().warning(
            "batch %s is free once its lease has lapsed: the ledger did not take it back (%s)",
            batch.id,
            type(error).__name__,
        )


def run_logger() -> Any:
    """The run's log, which Prefect shows; without Prefect the process's."""
    return logging.getLogger("waypost.run") if alone() else get_run_logger()


def current_flow_run() -> UUID | None:
    """The id of the flow run this code runs in, if any."""
    id = None if alone() else flow_run.id
    return UUID(str(id)) if id else None
