"""The current time, always with its time zone."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime

Source = Callable[[], datetime]

Steady = Callable[[], float]

_source: Source = lambda: datetime.now(UTC)  # noqa: E731 - a value that is swapped, not a function
_steady: Steady = time.monotonic


def now() -> datetime:
    """The present moment in UTC."""
    return _source()


def monotonic() -> float:
    """Seconds on a clock that never jumps, to measure how long work takes."""
    return _steady()


@contextmanager
def use_clock(source: Source, steady: Steady = time.monotonic) -> Generator[None]:
    """For the length of the block, `now` asks `source` and `monotonic` asks `steady`. The simulator uses this
    to let hours pass, and to take the same steps on every machine."""
    global _source, _steady
    before = _source, _steady
    _source, _steady = source, steady
    try:
        yield
    finally:
        _source, _steady = before
