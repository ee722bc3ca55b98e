"""An event loop in which waiting takes no time: when all tasks sleep, its clock jumps to the next wake-up."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

# The time that every turn of the loop takes. asyncio wakes sleepers up to a clock's tick early: if turns took
# no time, a task that sleeps until an exact moment could wake just before it, forever.
TURN_SECONDS = 1e-6


class Stuck(RuntimeError):
    """All tasks wait, and none of them for the clock: a deadlock."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Instead of sleeping until `timeout`, move the clock there."""
        if timeout is None:
            raise Stuck("no process waits for the clock any more")
        self.time += max(timeout, 0.0) + TURN_SECONDS
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop with another clock."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._jumping.time


def run(main: Any) -> Any:
    """Run the coroutine `main` in virtual time, to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
