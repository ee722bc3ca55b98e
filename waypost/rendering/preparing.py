"""Runs a type's own code for many notifications: each has a time limit, and only the slow ones fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from waypost.model.notification import Notification
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.ledger_waits import Asking
from waypost.system.outage import is_outage

T = TypeVar("T")

AT_ONCE = 8  # notifications: a few slow ones delay no others, and the type's service is not flooded
PARTING_SECONDS = 0.5  # for cancelled work to close its resources
LEAST_SECONDS = 1.0  # for each notification, even if many of its run have taken too long

logger = logging.getLogger("waypost.items")


class TookTooLong(Exception):
    """Work took longer than it may."""


class PutOff(Exception):
    """The notification waits for another run, through no fault of its own: others of its run used up its
    time, or this process lacks the ledger's key. The message is for people."""


class Preparing(Generic[T]):
    """One step of a type's own code in one run, for its notifications one by one.

    The total time is bounded: each notification that takes too long shortens the limit of those that begin
    after it. A notification that exceeds a shortened limit is put off and does not fail.
    """

    def __init__(self, step: str, limit: timedelta, *foreseen: type[Exception]) -> None:
        """step: its name, for people. limit: for one notification. foreseen: errors returned as answers."""
        self.one_by_one = False  # work for many at once has taken too long
        self._late = 0  # how many notifications have taken too long
        self._step = step
        self._limit = limit.total_seconds()
        self._foreseen = foreseen

    async def together(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work` for many notifications. Raises TookTooLong, and any exception of `work`."""
        try:
            return await within(self._limit, work)
        except TookTooLong:
            self.one_by_one = True
            raise

    async def each(
        self, notifications: Sequence[Notification], work: Callable[[Notification], Coroutine[Any, Any, T]]
    ) -> dict[UUID, T | Exception]:
        """The result of `work` for each notification, or an error instead: ItemFailed, PutOff or a foreseen
        error. Raises the errors of an unreachable ledger."""
        answers: dict[UUID, T | Exception] = {}

        async def some(waiting: Iterator[Notification]) -> None:
            for one in waiting:
                answers[one.id] = await self._answer(one, work)

        waiting = iter(notifications)
        # Before Python 3.13 a TaskGroup that fails leaves its caller's task marked as being cancelled.
        tasks = [asyncio.create_task(some(waiting)) for _ in range(min(AT_ONCE, len(notifications)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return answers

    async def _answer(
        self, one: Notification, work: Callable[[Notification], Coroutine[Any, Any, T]]
    ) -> T | Exception:
        seconds = max(self._limit / (1 + self._late), min(LEAST_SECONDS, self._limit))
        try:
            with isolated(self._step, TookTooLong, *self._foreseen, item=one.id, outage=is_outage):
                return await within(seconds, work(one))
        except TookTooLong:
            self._late += 1
            return self._too_long(one.id, seconds)
        except (ItemFailed, *self._foreseen) as error:
            return error

    def _too_long(self, id: UUID, seconds: float) -> Exception:
        if seconds < self._limit:
            return PutOff(
                f"{self._step} is postponed: other notifications of its run took longer than "
                f"{self._limit:g} s"
            )
        logger.error("%s failed for %s: it took longer than %g s", self._step, id, seconds)
        return ItemFailed(f"{self._step} took longer than {seconds:g} s")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. The time for which it waits for the ledger does not count.

    Raises any exception of `work`, and TookTooLong: then `work` is cancelled, and abandoned if it continues.
    Code that blocks the event loop is not interrupted.
    """
    asked = Asking()
    task = asyncio.create_task(_caught(asked, work))
    try:
        while not (await asyncio.wait({task}, timeout=seconds))[0]:
            if not asked.open:
                raise TookTooLong
    finally:
        if task.cancel():
            await asyncio.wait({task}, timeout=PARTING_SECONDS)
    answer = task.result()
    if isinstance(answer, _Raised):
        raise answer.error
    return answer


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


async def _caught(asked: Asking, work: Coroutine[Any, Any, T]) -> T | _Raised:
    """A task that raises SystemExit would end the event loop, and the process with it."""
    asked.count()
    try:
        return await work
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _Raised(error)
