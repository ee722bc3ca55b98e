"""Counts the ledger queries that some code waits for: that time is not the code's own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar


class Asking:
    """How many ledger queries are open, of the task that called `count` and the tasks it starts."""

    def __init__(self) -> None:
        self.open = 0

    def count(self) -> None:
        """Count the queries of the current task here, until the task ends."""
        _counted.set(self)


_counted: ContextVar[Asking | None] = ContextVar("asking", default=None)


@contextmanager
def asking() -> Generator[None]:
    """Count a ledger query as open for the length of the block."""
    counted = _counted.get() or Asking()
    counted.open += 1
    try:
        yield
    finally:
        counted.open -= 1
