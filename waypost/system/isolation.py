"""Isolation: an exception that is raised for one item fails that item and no other.

A notification type's own code, a template or a library's parser may raise anything. Each step that handles
one item at a time runs it inside `isolated`, and turns ItemFailed into its own answer: a reason, a problem,
a rejection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

FRAMES_SHOWN = 4  # at either end of a long traceback
PANICS = "pyo3_runtime"  # the module of a Rust library's panic, which is not an Exception

logger = logging.getLogger("waypost.items")


class ItemFailed(Exception):
    """One item failed. Says at which step and with which kind of exception, and nothing of its content."""


def never(_error: Exception) -> bool:
    """No exception is an outage."""
    return False


class isolated:  # noqa: N801 - used like a function; a generator would cost twice as much
    """Raise ItemFailed for an exception that the block does not handle, and log where it was raised.

    step: its name, for people: "rendering". foreseen: exceptions that the caller handles. item: its id for
    the log, no content. outage: whether an exception concerns all items, such as an unreachable ledger.
    Outages pass unchanged, as do ItemFailed and exceptions that end more than the item (see `is_fault`).
    """

    __slots__ = ("_foreseen", "_item", "_outage", "_step", "_task")

    def __init__(
        self,
        step: str,
        *foreseen: type[Exception],
        item: object = "",
        outage: Callable[[Exception], bool] = never,
    ) -> None:
        self._step, self._foreseen, self._item, self._outage = step, foreseen, item, outage

    def __enter__(self) -> None:
        self._task = present_task()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, (ItemFailed, *self._foreseen)):
            return
        if not is_fault(error, self._task) or (isinstance(error, Exception) and self._outage(error)):
            return
        name, told = type(error).__name__, f" for {self._item}" if self._item else ""
        logger.error("%s failed%s: %s at %s", self._step, told, name, place(error))
        raise ItemFailed(f"{self._step} failed unexpectedly: {name} (see the log)") from None


def is_fault(error: BaseException, task: asyncio.Task[Any] | None) -> bool:
    """Whether an exception in `task` is the fault of the code that ran. Cancelling the task, closing its
    coroutine, Ctrl-C and Prefect's signals are not. A CancelledError or GeneratorExit by the code is."""
    match error:
        case asyncio.CancelledError():
            return task is None or not task.cancelling()
        case GeneratorExit():  # a coroutine is closed while its task is not the task that runs
            return task is present_task()
        case Exception() | SystemExit():
            return True
        case BaseExceptionGroup():
            return all(is_fault(one, task) for one in error.exceptions)
        case _:
            return type(error).__module__ == PANICS


def present_task() -> asyncio.Task[Any] | None:
    """The current task; None in a thread without an event loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def place(error: BaseException, without: str = "") -> str:
    """Where an exception was raised, each function once and the innermost last, as in
    `waypost/rendering/messages.py:42 in render_one > email/_parser.py:7 in get_comment`. The exception's
    message is left out, as it may repeat the input. without: a file whose functions only call the code."""
    seen: dict[tuple[str, str], int] = {}
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_code.co_filename != without:
            seen.setdefault((frame.f_code.co_filename, frame.f_code.co_name), line)
    shown = [f"{_short(file)}:{line} in {name}" for (file, name), line in seen.items()]
    if len(shown) > 2 * FRAMES_SHOWN:
        shown[FRAMES_SHOWN:-FRAMES_SHOWN] = ["..."]
    return " > ".join(shown)


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-2:])
