"""A provider's places: one message each at a time, shared by every run of a process."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from waypost.model.priority import Priority


class PrioritySemaphore:
    """As many as the provider has connections. Whoever waits for one gets it by priority, then in turn; the
    last one (of two or more) is only ever given to what is urgent.

    A place is kept from before an attempt is recorded until its outcome is: at most one message a place
    is ever in doubt.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._turns = count()

    def most_for(self, priority: Priority) -> int:
        """How many of them `priority` can have at once."""
        return self.most - self._kept_from(priority.rank)

    def _kept_from(self, rank: int) -> int:
        return 1 if rank > Priority.URGENT.rank and self.most > 1 else 0

    def try_acquire(self, priority: Priority) -> bool:
        """Take one if there is one."""
        if self._free <= self._kept_from(priority.rank):
            return False
        self._free -= 1
        return True

    async def acquire(self, priority: Priority = Priority.NORMAL) -> None:
        """Wait for a place."""
        if self.try_acquire(priority):
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority.rank, next(self._turns), given))
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Hand the place to whoever is next and may have it."""
        self._free += 1
        while self._waiting and self._free > self._kept_from(self._waiting[0][0]):
            _, _, next_one = heapq.heappop(self._waiting)
            if not next_one.done():
                self._free -= 1
                next_one.set_result(None)

    @property
    def idle(self) -> bool:
        """Whether nobody has one."""
        return self._free == self.most

    def wanted(self, priority: Priority, *, by_others_of_it: bool = True) -> bool:
        """Whether somebody more urgent waits for one, or somebody just as urgent."""
        least = priority.rank if by_others_of_it else priority.rank - 1
        return any(rank <= least and not given.done() for rank, _, given in self._waiting)
