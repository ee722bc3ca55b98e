"""Errors of a run's code, as Prefect may show them: the kind of exception and the place, not its text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from functools import lru_cache, wraps
from inspect import iscoroutinefunction
from typing import Any

import httpx
from prefect import Flow, Task
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from waypost.ledger.database.trouble import trouble
from waypost.system.isolation import is_fault, place, present_task
from waypost.system.outage import is_outage
from waypost.tasks.cancellation import RunCancelled, stoppable_step
from waypost.tasks.parameters import validating
from waypost.tasks.safe_error import SafeError

Code = Callable[..., Awaitable[Any]]


class CodeFailed(SafeError):
    """A step, or a flow between its steps, has failed. kind: the exception's class. blames: whether a
    notification of the run may be the cause, and neither the ledger nor Prefect is."""

    def __init__(self, name: str, error: BaseException) -> None:
        self.kind = type(error).__name__
        self.blames = not (is_outage(error) or isinstance(error, PrefectException) or _asked_prefect(error))
        why = trouble(error) if is_outage(error) else f"{self.kind} at {place(error, __file__)}"
        super().__init__(f"{name} failed: {why}")


def blames(error: Exception) -> bool:
    """Whether a notification of the run may be the cause of its step's error. OS, HTTP and Prefect errors
    raised outside the step's own code are Prefect's."""
    if isinstance(error, CodeFailed):
        return error.blames
    return not isinstance(error, (OSError, httpx.HTTPError, PrefectException))


def kind(error: Exception) -> str:
    """The kind of exception that failed the step."""
    return error.kind if isinstance(error, CodeFailed) else type(error).__name__


def guarded(code: Code, name: str) -> Code:
    """`code`, which raises CodeFailed for every exception that it does not handle."""

    @wraps(code)
    async def run(*arguments: Any, **named: Any) -> Any:
        task = present_task()
        try:
            return await code(*arguments, **named)
        except (SafeError, RunCancelled):
            raise
        except BaseException as error:
            if not is_fault(error, task):
                raise
            failed = CodeFailed(name, error)
        raise failed

    return run


@lru_cache(maxsize=256)
def guarded_task(task: Task[..., Any]) -> Task[..., Any]:
    """`task` with its code guarded."""
    made = copy(task)
    made.fn = stoppable_step(guarded(task.fn, task.name))
    return made


def guarded_flow(flow: Flow[..., Any]) -> Flow[..., Any]:
    """`flow` with its code and the validation of its parameters guarded."""
    made = copy(flow)
    made.retries = 0  # the ledger retries; Prefect would repeat a run whose batch has ended
    if iscoroutinefunction(flow.fn):
        made.fn = guarded(flow.fn, flow.name)
        # Of the flow itself: string annotations are resolved in the module where it was written.
        made.validate_parameters = validating(flow)
    return made


def _asked_prefect(error: BaseException) -> bool:
    """Whether a request to the Prefect API has failed."""
    if not isinstance(error, httpx.HTTPError):
        return False
    try:
        asked = str(error.request.url)
    except RuntimeError:  # the error has no request
        return False
    return asked.startswith(get_current_settings().api.url or "http://ephemeral-prefect")
