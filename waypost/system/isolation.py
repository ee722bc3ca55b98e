"""Isolation: an exception that is raised for one item fails that item and no other.

A notification type's own code, a template or a library's parser may raise anything. Each step that handles
one item at a time runs it inside `isolated`, and turns ItemFailed into its own answer: a reason, a problem,
a rejection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

FRAMES_SHOWN = 4  # at either end of a long traceback
PANICS = "pyo3_runtime"  # the module of a Rust library's panic, which is not an Exception

logger = logging.getLogger("waypost.items")


class ItemFailed(Exception):
    """One item failed. Says at which step and with which kind of exception, and nothing of its content."""


def never(_error: Exception) -> bool:
    """No exception is an outage."""
    return False


@contextmanager
def isolated(
    step: str,
    *foreseen: type[Exception],
    item: object = "",
    outage: Callable[[Exception], bool] = never,
) -> Generator[None]:
    """Raise ItemFailed for an exception that the block does not handle, and log where it was raised.

    step: its name, for people: "rendering". foreseen: exceptions that the caller handles. item: its id for
    the log, no content. outage: whether an exception concerns all items, such as an unreachable ledger.
    Outages pass unchanged, as do ItemFailed and exceptions that end more than the item (see `is_fault`).
    """
    task = present_task()
    try:
        yield
    except (ItemFailed, *foreseen):
        raise
    except BaseException as error:
        if not is_fault(error, task) or (isinstance(error, Exception) and outage(error)):
            raise
        kind = type(error).__name__
        logger.error("%s failed%s: %s at %s", step, f" for {item}" if item else "", kind, place(error))
        raise ItemFailed(f"{step} failed unexpectedly: {kind} (see the log)") from None


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
