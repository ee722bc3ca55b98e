"""The Prefect run that a task is part of, if any.

When Prefect does not answer, a worker delivers urgent notifications by the same flows: inside
`without_prefect`, each step calls the task's own function.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

from prefect import State, Task, get_run_logger
from prefect.runtime import flow_run

from waypost import Batch
from waypost.delivery.runtime import Runtime
from waypost.ledger.queue.reaper import give_back
from waypost.model.notification_type import NotificationType
from waypost.tasks.cancellation import RunCancelled, outside
from waypost.tasks.faults import blames, guarded_task, kind

_alone: ContextVar[bool] = ContextVar("without_prefect", default=False)
_simulated_run: ContextVar[UUID | None] = ContextVar("simulated_run", default=None)


@contextmanager
def without_prefect() -> Generator[None]:
    """Steps taken in this context do not use Prefect."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def simulated_run(id: UUID) -> Generator[None]:
    """Steps taken in this context do not use Prefect, and are steps of the flow run `id`."""
    token = _simulated_run.set(id)
    try:
        with without_prefect():
            yield
    finally:
        _simulated_run.reset(token)


def without_prefect_active() -> bool:
    """Whether this is a delivery without Prefect."""
    return _alone.get()


async def step(task: Task[..., Any], *arguments: Any, **options: Any) -> Any:
    """Run one step of a flow: as a task of its run, with `options` such as its name, or without Prefect. If
    its code fails, the notifications of its batch, the first of `arguments`, are free at once.

    Raises CodeFailed for an exception of its code, SafeError as it is, the errors of Prefect, and
    RunCancelled once a person has cancelled the run."""
    task = guarded_task(task)
    try:
        if without_prefect_active():
            return await task.fn(*arguments)
        with outside():
            result = await (task.with_options(**options) if options else task)(*arguments)
    except Exception as error:
        # If the ledger or Prefect failed, the batch is taken back when its lease has lapsed.
        if isinstance(arguments[0], Batch) and blames(error):
            batch = cast(Batch[Any], arguments[0])
            await _give_back(batch.id, batch.type, kind(error), run_logger())
        raise
    if isinstance(result, State):
        raise RunCancelled
    return result


async def give_back_all(batches: Sequence[UUID], of: NotificationType, failed: Exception) -> None:
    """Free at once the `batches` of a flow whose own code failed, unless the cause is the ledger or Prefect.
    Never raises."""
    for batch in batches if blames(failed) else ():
        await _give_back(batch, of, kind(failed), logging.getLogger("waypost.run"))


async def _give_back(batch: UUID, of: NotificationType, kind: str, logger: Any) -> None:
    try:
        await give_back((await Runtime.current()).ledger, batch, of, kind)
    except Exception as error:
        logger.warning(
            "batch %s stays claimed until its lease lapses: the ledger could not release it (%s)",
            batch,
            type(error).__name__,
        )


def run_logger() -> Any:
    """The run's logger, which Prefect shows; without Prefect, a logger of the process."""
    return logging.getLogger("waypost.run") if without_prefect_active() else get_run_logger()


def is_retried() -> bool:
    """Whether this run has begun before: a person retries it in Prefect, or its worker was lost early."""
    return not without_prefect_active() and (flow_run.run_count or 0) > 1


def current_flow_run() -> UUID | None:
    """The id of the flow run this code runs in, if any."""
    if without_prefect_active():
        return _simulated_run.get()
    return UUID(str(flow_run.id)) if flow_run.id else None
