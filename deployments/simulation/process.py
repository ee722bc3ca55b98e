"""A simulated process: its tasks, its clock, and the gate where it can be killed.

A killed process has no more effect on the world: the gate refuses what its `finally` blocks try, as if the
process had stopped on the spot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from random import Random
from typing import Any

from waypost.deployments.dispatcher.runs import PrefectAway
from waypost.ledger import NotRecorded
from waypost.tasks.faults import CodeFailed


class Killed(BaseException):
    """The process is gone. No `except Exception` may catch this."""


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
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in their order, which a set would lose
        self.trouble: list[str] = []

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Make the task one of this process, with which it ends."""
        self._tasks[task] = None
        task.add_done_callback(self._has_ended)

    async def step(self, what: str) -> None:
        """Pass the gate, just before or after an effect on the world. Other tasks may run first; the process
        may die here."""
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
        """End the process and all its tasks."""
        self.dead = True
        for task in list(self._tasks):
            task.cancel()

    async def gone(self) -> None:
        """Wait until all tasks of a killed process have ended."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _has_ended(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log the kill

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do `work` in a task of its own. Its error is kept as trouble."""
        asyncio.get_running_loop().create_task(work).add_done_callback(self._look_for_trouble)

    def _look_for_trouble(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self.trouble.append(f"{self.name} failed: {error!r}")

    def examine(self, error: Exception) -> None:
        """Keep an error as trouble, unless the script made it: a fault of the code must not pass for a
        simulated fault."""
        scripted = isinstance(error, (OSError, NotRecorded, PrefectAway))
        if not scripted and not (isinstance(error, CodeFailed) and not error.blames):
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
