"""A semaphore for a provider's connections, shared by every run of a process."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import NamedTuple

from waypost.model.priority import Priority


class PrioritySemaphore:
    """A semaphore that grants permits by priority, within a priority to security mail first, then first come,
    first served: a person waits for a code, and must not wait behind a flood of alerts.

    most: permits, one per connection of the provider. The last permit (of two or more) is reserved for urgent
    work. Hold a permit from before an attempt is recorded until its outcome is: then at most one message per
    permit is in doubt.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._waiting: list[tuple[_Precedence, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    def most_for(self, priority: Priority) -> int:
        """How many permits `priority` can have at once."""
        return self.most - self._kept_from(priority.rank)

    def _kept_from(self, rank: int) -> int:
        return 1 if rank > Priority.URGENT.rank and self.most > 1 else 0

    def try_acquire(self, priority: Priority) -> bool:
        """Take a permit if one is free for `priority`."""
        if self._free <= self._kept_from(priority.rank):
            return False
        self._free -= 1
        return True

    async def acquire(self, priority: Priority = Priority.NORMAL, *, security: bool = False) -> None:
        """Wait for a permit."""
        if self.try_acquire(priority):
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (_precedence(priority, security), next(self._arrivals), given))
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Release a permit, to the next waiter that may have it."""
        self._free += 1
        while self._waiting and self._free > self._kept_from(self._waiting[0][0].rank):
            _, _, next_one = heapq.heappop(self._waiting)
            if not next_one.done():
                self._free -= 1
                next_one.set_result(None)

    @property
    def idle(self) -> bool:
        """Whether no permit is held."""
        return self._free == self.most

    def wanted(self, priority: Priority, *, security: bool = False, by_others_of_it: bool = True) -> bool:
        """Whether a waiter that goes first is in line, or, by `by_others_of_it`, an equal one."""
        ours = _precedence(priority, security)
        return any(
            (theirs < ours or (by_others_of_it and theirs == ours)) and not given.done()
            for theirs, _, given in self._waiting
        )


class _Precedence(NamedTuple):
    """The lowest goes first."""

    rank: int
    after_security: bool


def _precedence(priority: Priority, security: bool) -> _Precedence:
    return _Precedence(priority.rank, not security)
