"""Whether some code waits for the ledger just now: that is no time which the code itself takes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar


class Asking:
    """How many questions to the ledger are open, of the task that counts here and the tasks it starts."""

    def __init__(self) -> None:
        self.open = 0

    def count(self) -> None:
        """Count the questions of the present task here, until its end."""
        _counted.set(self)


_counted: ContextVar[Asking | None] = ContextVar("asking", default=None)


@contextmanager
def asking() -> Generator[None]:
    """A question to the ledger is open for the length of the block."""
    counted = _counted.get() or Asking()
    counted.open += 1
    try:
        yield
    finally:
        counted.open -= 1
