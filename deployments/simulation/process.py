"""A simulated process: its tasks, its clock, and the gate where it can be killed.

Killed, it does nothing more to the world: what its `finally` blocks try is refused at the gate, so it is
as if it had stopped where it stood.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from random import Random
from typing import Any


class Killed(BaseException):
    """The process is gone. No `except Exception` may stop this."""


class Fate:
    """When processes die: at a step drawn by chance, or at exactly one step of the whole simulation."""

    def __init__(self, random: Random, chance: float, at_step: int | None = None) -> None:
        self._random = random
        self.chance = chance
        self._at_step = at_step
        self.steps = 0

    def strikes(self) -> bool:
        """Whether the process that takes this step dies here."""
        self.steps += 1
        if self._at_step is not None:
            return self.steps == self._at_step
        return self.chance > 0 and self._random.random() < self.chance


class Process:
    """skew: seconds its wall clock is ahead of the world's."""

    present: ContextVar[Process | None] = ContextVar("process", default=None)

    def __init__(self, name: str, fate: Fate, say: Callable[[str], None]) -> None:
        self.name = name
        self.dead = False
        self.skew = 0.0
        self._fate = fate
        self._say = say
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in their order, as a set would not have them
        self.trouble: list[str] = []

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """The task is this process's, and ends with it."""
        self._tasks[task] = None
        task.add_done_callback(self._has_ended)

    async def step(self, what: str) -> None:
        """About to touch the world, or having just touched it. Others may act first; it may end here."""
        if not self.dead:
            await asyncio.sleep(0)
        if self.dead:
            raise Killed
        if self._fate.strikes():
            self._say(f"{self.name} is killed at: {what}")
            self.kill()
            raise Killed
        self._say(f"{self.name} {what}")

    def kill(self) -> None:
        """End it, with everything it was doing."""
        self.dead = True
        for task in list(self._tasks):
            task.cancel()

    async def gone(self) -> None:
        """Wait until nothing of a killed process is left."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _has_ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            task.exception()  # being killed is nothing that asyncio should complain of

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do `work` beside the rest. What it fails of is kept as trouble: no fault of the simulation's own
        may pass for a fault of its weather."""
        asyncio.get_running_loop().create_task(work).add_done_callback(self._look_for_trouble)

    def _look_for_trouble(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.trouble.append(f"{self.name} failed: {error!r}")

    def start(self, main: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run `main` as this process."""
        token = self.present.set(self)
        try:
            return asyncio.get_running_loop().create_task(main())
        finally:
            self.present.reset(token)


def task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Every task belongs to the process whose code made it."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    if (owner := Process.present.get()) is not None:
        owner.adopt(task)
    return task
