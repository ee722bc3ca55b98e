"""Limits the memory for request bodies, counted in bytes.

A body is charged from before it is read until its request is answered. MOST and SHARE limit the memory that
clients with a key can occupy, whatever the number of their requests.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque

from waypost.gateway.problems import Problem

MOST = 32 * 1024 * 1024  # bytes of bodies of all clients; parsed requests take up to ten times as much
SHARE = MOST // 2  # bytes of bodies of one client, so that other clients still have room
WAITS_SECONDS = 10.0


def too_much() -> Problem:
    """The problem for an overloaded gateway: the client may retry after a second."""
    return Problem(
        "unavailable",
        "too many request bodies are in memory; retry in a second",
        headers={"retry-after": "1"},
    )


Waiter = tuple[int, asyncio.Future[None]]  # bytes, and a future that is done once the body is admitted


class MemoryBudget:
    """Admits bodies while they fit, those of the same client in order of arrival. A client over its share
    does not block other clients.

    most: bytes of all clients together. share: bytes of one client.
    """

    def __init__(self, most: int = MOST, share: int = SHARE) -> None:
        self._most = most
        self._share = share
        self._held: Counter[str] = Counter()
        self._total = 0
        self._waiting: dict[str, deque[Waiter]] = {}

    @property
    def held(self) -> int:
        """Bytes in use."""
        return self._total

    @property
    def waiting(self) -> int:
        """How many bodies wait for room."""
        return sum(map(len, self._waiting.values()))

    def of(self, client: str, size: int) -> Held:
        """Room for a body of `size` bytes, for the length of an `async with`. Entering it raises Problem if
        no room becomes free in time."""
        return Held(self, client, size)

    async def take(self, client: str, size: int) -> None:
        """Wait until `size` bytes are free. Raises Problem."""
        if not self._waiting and self._has(client, size) and self._total + size <= self._most:
            self._charge(client, size)
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append((size, admitted))
        self._admit()
        try:
            async with asyncio.timeout(WAITS_SECONDS):
                await admitted
        except BaseException as error:
            if not admitted.cancelled():
                self.give_back(client, size)  # the body was admitted just as the wait ended
            if isinstance(error, TimeoutError):
                raise too_much() from None
            raise

    def give_back(self, client: str, size: int) -> None:
        """Free `size` bytes of `client`."""
        self._charge(client, -size)
        if self._waiting:
            self._admit()

    def _has(self, client: str, size: int) -> bool:
        """Whether `client` has `size` bytes of its share left."""
        return self._held[client] + size <= self._share

    def _charge(self, client: str, size: int) -> None:
        self._total += size
        self._held[client] += size
        if not self._held[client]:
            del self._held[client]

    def _admit(self) -> None:
        """Admit the waiting bodies that fit. If a body lacks room in the total, no other overtakes it."""
        for client, queue in list(self._waiting.items()):
            while queue and (queue[0][1].cancelled() or self._has(client, queue[0][0])):
                size, admitted = queue[0]
                if not admitted.cancelled():
                    if self._total + size > self._most:
                        return
                    self._charge(client, size)
                    admitted.set_result(None)
                queue.popleft()
            if not queue:
                del self._waiting[client]


class Held:
    """The room of one request, taken on entering and given back on leaving."""

    __slots__ = ("_client", "_room", "_size")

    def __init__(self, room: MemoryBudget, client: str, size: int) -> None:
        self._room = room
        self._client = client
        self._size = size

    async def __aenter__(self) -> Held:
        await self._room.take(self._client, self._size)
        return self

    def shrink(self, size: int) -> None:
        """Keep `size` bytes and give back the rest, which the body did not need."""
        self._room.give_back(self._client, self._size - size)
        self._size = size

    async def __aexit__(self, *_: object) -> None:
        self._room.give_back(self._client, self._size)
