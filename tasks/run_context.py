"""The Prefect run a task is part of, or that there is none.

A worker delivers what is urgent by the very same flows when Prefect does not answer: inside
`without_prefect` each step is the task's own function, called.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

from prefect import Task, get_run_logger
from prefect.runtime import flow_run

from tasks.faults import blames, guarded_task, kind
from waypost import Batch
from waypost.delivery.runtime import Runtime
from waypost.ledger.queue.reaper import give_back
from waypost.model.notification_type import NotificationType

_alone: ContextVar[bool] = ContextVar("without_prefect", default=False)


@contextmanager
def without_prefect() -> Generator[None]:
    """Steps taken in this context know no Prefect."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def without_prefect_active() -> bool:
    """Whether this is a delivery without Prefect."""
    return _alone.get()


async def step(task: Task[..., Any], *arguments: Any, **options: Any) -> Any:
    """Take one step of a flow: as a task of its run, with `options` such as its name, or as it is. When it
    fails, the notifications of its batch, which is the first of `arguments`, are free at once.

    Raises CodeFailed for whatever its code raises, and what Prefect raises."""
    task = guarded_task(task)
    try:
        if without_prefect_active():
            return await task.fn(*arguments)
        return await (task.with_options(**options) if options else task)(*arguments)
    except Exception as error:
        # Where the ledger or Prefect did not do its part, the batch is taken back when its lease has lapsed.
        if isinstance(arguments[0], Batch) and blames(error):
            batch = cast(Batch[Any], arguments[0])
            await _give_back(batch.id, batch.type, kind(error), run_logger())
        raise


async def give_back_all(batches: Sequence[UUID], of: NotificationType, failed: Exception) -> None:
    """Free at once what the flow of a type held when its own code failed, unless the ledger or Prefect did
    not do its part. Never raises."""
    for batch in batches if blames(failed) else ():
        await _give_back(batch, of, kind(failed), logging.getLogger("waypost.run"))


async def _give_back(batch: UUID, of: NotificationType, kind: str, logger: Any) -> None:
    try:
        await give_back((await Runtime.current()).ledger, batch, of, kind)
    except Exception as error:
        logger.warning(
            "batch %s is free once its lease has lapsed: the ledger did not take it back (%s)",
            batch,
            type(error).__name__,
        )


def run_logger() -> Any:
    """The run's log, which Prefect shows; without Prefect the process's."""
    return logging.getLogger("waypost.run") if without_prefect_active() else get_run_logger()


def current_flow_run() -> UUID | None:
    """The id of the flow run this code runs in, if any."""
    id = None if without_prefect_active() else flow_run.id
    return UUID(str(id)) if id else None
