"""Being a long-lived process: running, and waiting, until told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from waypost.system.isolation import place


class EndedByItself(RuntimeError):
    """A process that runs until it is told to stop has ended before. Says why."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the process ended without being told to: {why}. Start it again")


_left_behind = threading.Event()


def freeze_gc() -> None:
    """Everything is loaded, and stays: the garbage collector need not walk a million objects again and
    again, nor look after every 700 new ones, which a batch of requests makes in a moment."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run_until_signalled(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)` on uvloop, where there is one; SIGINT and SIGTERM set `stop`, a second gives up.

    Raises EndedByItself, so that no such end looks like a stop, and what `main` raises.

    The loop has a thread of its own: Prefect's engine puts a SIGTERM handler of its own in place
    for every run on the main thread, and raises from it in the middle of all the others.
    """
    box: dict[str, Any] = {}
    started = threading.Event()

    async def body() -> None:
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()
        started.set()
        await main(box["stop"])

    def target() -> None:
        try:
            _new_loop_run(body())
        except BaseException as error:
            box["error"] = error
        finally:
            started.set()

    def on_signal(number: int, _frame: Any) -> None:
        if box.get("asked"):
            os._exit(128 + number)
        box["asked"] = True
        started.wait()
        if "loop" in box:
            box["loop"].call_soon_threadsafe(box["stop"].set)

    thread = threading.Thread(target=target, name="waypost")
    thread.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    while thread.is_alive():
        thread.join(0.2)
    if isinstance(box.get("error"), SystemExit):
        raise EndedByItself(f"sys.exit was called at {place(box['error'])}")
    if "error" in box:
        raise box["error"]
    if not box.get("asked"):
        raise EndedByItself("see the log")


def leave_threads_behind() -> None:
    """Let `depart` end the process without waiting for threads of libraries: a server that is away may keep
    them for minutes, and what they hold back is not ours to lose."""
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
    except ImportError:  # there is none for Windows and PyPy
        asyncio.run(body)
    else:
        uvloop.run(body)
