"""Runs a long-lived process until a signal stops it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from waypost.system.isolation import place


class EndedByItself(RuntimeError):
    """A long-lived process ended before a signal stopped it. Says why."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the process ended unexpectedly: {why}. Restart it")


_left_behind = threading.Event()


def freeze_gc() -> None:
    """Spare the garbage collector from walking a million loaded objects again and again. It also runs less
    often than after 700 new objects, which a batch of requests makes in a moment."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run_until_signalled(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)`, on uvloop if available. SIGINT and SIGTERM set `stop`; a second signal exits at once.

    Raises any exception of `main`, and EndedByItself if `main` ends without a signal or by sys.exit.

    The loop has its own thread: Prefect's engine installs a SIGTERM handler for every run on the main
    thread, and raises from it in the middle of all other runs.
    """
    box: dict[str, Any] = {}

    async def body() -> None:
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()
        if box.get("asked"):
            box["stop"].set()
        await main(box["stop"])

    def target() -> None:
        try:
            _new_loop_run(body())
        except BaseException as error:
            box["error"] = error

    def on_signal(number: int, _frame: Any) -> None:
        if box.get("asked"):
            os._exit(128 + number)
        box["asked"] = True
        if "loop" in box:
            with suppress(RuntimeError):  # `main` has just ended, and the loop is closed
                box["loop"].call_soon_threadsafe(box["stop"].set)

    # Before `main` begins: whoever reads that it is up may send a signal at once.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    thread = threading.Thread(target=target, name="waypost")
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
    if isinstance(box.get("error"), SystemExit):
        raise EndedByItself(f"sys.exit was called at {place(box['error'])}")
    if "error" in box:
        raise box["error"]
    if not box.get("asked"):
        raise EndedByItself("see the log")


def leave_threads_behind() -> None:
    """Let `depart` end the process without waiting for threads of libraries: an unreachable server may keep
    them for minutes, and no data of Waypost's is lost with them."""
    _left_behind.set()


def depart(code: int) -> None:
    """End the process at once, if threads are to be left behind; otherwise return."""
    if _left_behind.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _new_loop_run(body: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # uvloop does not exist for Windows and PyPy
        asyncio.run(body)
    else:
        uvloop.run(body)
