"""Checks that cost grows no faster than size: measures processor time, and the longest hold of an event loop.

Processor time, not the clock's: other programs on the machine change it little. An input is first tried at
its limit; if that costs less than FLOOR, it passes. Else it is tried at a quarter and at half of the limit
too, several times each, and the least cost of each size counts.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

import pytest
import uvloop

T = TypeVar("T")

LONGEST_HOLD = 0.050  # seconds of work between two turns of the loop, at the speed of REFERENCE
REFERENCE = 0.0025  # seconds that the yardstick takes on the machine for which the limits are set
FLOOR = 0.004  # seconds
SLACK = 2  # beyond the caches, four times the size takes up to eight times as long; a square takes sixteen
TRIES = 4
_TICK = 0.001

# Of thousands of cases `make test` tries some, other texts in each field, and `make test-long` all.
in_shares = pytest.mark.parametrize(
    "every", [pytest.param(11, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)]
)


@dataclass(frozen=True, slots=True)
class Spent:
    """seconds: processor time. held: the longest stretch of it between two turns of the loop."""

    seconds: float
    held: float


Act = Callable[[int], Spent]  # called with the size of the input, in bytes or items


class TooDear(AssertionError):
    """Inputs cost more than they may. Says which, at which size, and how much."""


def judge(cases: Iterable[tuple[str, Act, int]], every: int = 1) -> None:
    """Raise TooDear for the cases (name, act, limit) whose cost grows faster than their size, or which hold
    the loop. every: of how many cases one is tried."""
    settle()
    if wrong := [fault for case in islice(cases, 0, None, every) if (fault := _fault(*case))]:
        raise TooDear("\n".join(wrong))


def _fault(name: str, act: Act, limit: int) -> str | None:
    sizes = [max(1, limit // 4), max(1, limit // 2), limit]
    best = {limit: act(limit)}
    if best[limit].seconds <= FLOOR and best[limit].held <= LONGEST_HOLD:
        return None
    for _ in range(TRIES):
        for size in sizes:
            best[size] = _less(act(size), best.get(size))
        times = slowness()
        if best[limit].held <= LONGEST_HOLD * times and _grows_with_size(
            [best[n].seconds for n in sizes], times
        ):
            return None
    told = ", ".join(f"{s:,}: {best[s].seconds * 1000:.1f} ms" for s in sizes)
    return f"{name}: {told}; the loop is held for {best[limit].held * 1000:.0f} ms"


def _grows_with_size(seconds: list[float], times: float) -> bool:
    """Compares over two doublings together: a single one is small enough to be noise."""
    return seconds[-1] <= seconds[0] * 4 * SLACK + FLOOR * times


def _less(one: Spent, other: Spent | None) -> Spent:
    return one if other is None else Spent(min(one.seconds, other.seconds), min(one.held, other.held))


def slowness() -> float:
    """How many times as long as on the reference machine the same work takes here now; 1 at least."""
    return max(1.0, min(_yardstick() for _ in range(3)) / REFERENCE)


def _yardstick() -> float:
    """The processor seconds of some arithmetic, and of objects spread over the memory."""
    began, text = time.thread_time(), b"a" * 64
    for _ in range(2_000):
        text = sha256(text).hexdigest().encode()
    json.loads(_MANY)
    return time.thread_time() - began


_MANY = json.dumps([{"a": [number, str(number)]} for number in range(3_000)])


def spent(work: Callable[[], object]) -> Spent:
    """The cost of work that does not leave its thread."""
    began = time.thread_time()
    work()
    seconds = time.thread_time() - began
    return Spent(seconds, seconds)


def settle() -> None:
    """Freeze lasting objects out of garbage collection, as a gateway does (waypost/system/process.py).

    A collection that falls into a measured input would cost more than the input."""
    gc.collect()
    gc.freeze()


class Loop:
    """An event loop in a thread of its own, whose work is measured from another."""

    def __enter__(self) -> Loop:
        self._loop, ready = uvloop.new_event_loop(), threading.Event()
        self._stack, self._last, self._longest = AsyncExitStack(), 0.0, 0.0
        self._thread = threading.Thread(target=self._run, args=(ready,), name="measured", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        gc.unfreeze()

    def enter(self, opened: AbstractAsyncContextManager[T]) -> T:
        """Enter the context in the loop, until the loop ends."""
        return self.run(self._stack.enter_async_context(opened))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def spent(self, work: Callable[[], object]) -> Spent:
        """The cost in all other threads of `work`, which runs in the calling thread."""
        self.run(self._begin())
        mine, all_of_us = time.thread_time(), time.process_time()
        work()
        seconds = time.process_time() - all_of_us - (time.thread_time() - mine)
        return Spent(seconds, self.run(self._end()))

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._turn)
        self._loop.call_soon(ready.set)
        self._loop.run_forever()

    def _turn(self) -> None:
        moment = time.thread_time()
        self._longest, self._last = max(self._longest, moment - self._last), moment
        self._loop.call_later(_TICK, self._turn)

    async def _begin(self) -> None:
        self._last, self._longest = time.thread_time(), 0.0

    async def _end(self) -> float:
        return max(self._longest, time.thread_time() - self._last)
