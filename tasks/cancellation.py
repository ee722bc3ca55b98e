"""A person's cancellation of a run: the run ends between two messages, in a state of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any
from uuid import UUID

from prefect import State
from prefect.states import Cancelled

from waypost.model.notification_type import NotificationType
from waypost.system.isolation import present_task

Code = Callable[..., Awaitable[Any]]


class RunCancelled(asyncio.CancelledError):
    """Ends the code of a run that a person has cancelled. The code's own cancellation is undone."""


class Cancellation:
    """Whether one run is cancelled. A cancellation interrupts only code of ours and of the type: inside
    Prefect's own code, it would be a crash for Prefect. There it waits for the next step.

    asked: a person has cancelled the run. accounted: the run's code has ended, and tells what became of it.
    run: its id. batch: what the run was created for, takes up or has taken up. type, ids: what it has taken
    up. returned: the state that the run's code returned, if it came to its end."""

    _of_run: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)

    def __init__(self, run: UUID | None = None, batch: UUID | None = None) -> None:
        self.run = run
        self.asked = False
        self.accounted = False
        self.type: NotificationType | None = None
        self.batch = batch
        self.ids: list[UUID] = []
        self.returned: State[Any] | None = None
        self._ours: dict[asyncio.Task[Any] | None, bool] = {}

    @classmethod
    def current(cls) -> Cancellation | None:
        """That of the present run, in a worker that can cancel runs."""
        return cls._of_run.get()

    @contextmanager
    def of_run(self) -> Generator[None]:
        """The code in the block is the run's."""
        token = self._of_run.set(self)
        try:
            yield
        finally:
            self._of_run.reset(token)

    def taken_up(self, type: NotificationType, batch: UUID, ids: list[UUID]) -> None:
        """Note what the run has taken up."""
        self.type, self.batch, self.ids = type, batch, ids

    def ask(self) -> None:
        """End the run's code, at once or as soon as it is called again."""
        self.asked = True
        for task, ours in self._ours.items():
            if ours and task is not None:
                task.cancel()

    def check(self) -> None:
        """Raise RunCancelled if the run is cancelled."""
        if self.asked:
            raise RunCancelled

    @contextmanager
    def inside(self, *, ours: bool) -> Generator[None]:
        """ours: whether the code in the block may be interrupted. Raises RunCancelled if it was."""
        task = present_task()
        before = self._ours.get(task)
        self._ours[task] = ours
        try:
            yield
        except RunCancelled:
            raise
        except asyncio.CancelledError:
            if not (ours and self.asked and task):
                raise
            task.uncancel()
            raise RunCancelled from None
        finally:
            if before is None:
                del self._ours[task]
            else:
                self._ours[task] = before


@contextmanager
def outside() -> Generator[None]:
    """The code in the block is Prefect's. Raises RunCancelled, instead of beginning, if the run is
    cancelled."""
    current = Cancellation.current()
    if current is None:
        yield
        return
    current.check()
    with current.inside(ours=False):
        yield


def stoppable(code: Code, end: Callable[[Cancellation], Awaitable[State[Any]]]) -> Code:
    """`code` of ours or of the type, which returns the state that `end` makes if the run is cancelled."""

    @wraps(code)
    async def run(*arguments: Any, **named: Any) -> Any:
        current = Cancellation.current()
        if current is None:
            return await code(*arguments, **named)
        try:
            current.check()
            with current.inside(ours=True):
                return await code(*arguments, **named)
        except RunCancelled:
            pass  # outside of this, so that `end` may be interrupted by no cancellation
        return await end(current)

    return run


def stoppable_step(code: Code) -> Code:
    """`code` of a step, which ends in the state Cancelled if the run is cancelled."""

    async def end(_cancelled: Cancellation) -> State[Any]:
        return Cancelled(message="The run was cancelled.")

    return stoppable(code, end)
