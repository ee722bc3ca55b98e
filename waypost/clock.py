"""The time, in one place, always with its zone."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime

Source = Callable[[], datetime]

_source: Source = lambda: datetime.now(UTC)  # noqa: E731 - a value that is swapped, not a function


def now() -> datetime:
    """The present moment in UTC."""
    return _source()


@contextmanager
def told_by(source: Source) -> Generator[None]:
    """For the length of the block, `source` says what time it is: how the simulator makes hours pass."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
