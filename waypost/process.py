"""Being a long-lived process: running, and waiting, until told to stop."""

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

_left_behind = threading.Event()


def settle_in() -> None:
    """Everything is loaded, and stays: the garbage collector need not walk a million objects again and
    again, nor look after every 700 new ones, which a batch of requests makes in a moment."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run_until_signalled(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> None:
    """Run `main(stop)` on uvloop, where there is one; SIGINT and SIGTERM set `stop`, a second gives up.

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
    if "error" in box:
        raise box["error"]


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for `event` for so many seconds at most; whether it was set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def either(first: asyncio.Event, second: asyncio.Event, seconds: float) -> None:
    """Wait until one of two events is set, or so many seconds have passed."""
    waits = [asyncio.create_task(event.wait()) for event in (first, second)]
    _, pending = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


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
