"""Group commit: the items that come in while one transaction commits are the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

I = TypeVar("I")  # noqa: E741 - an item
A = TypeVar("A")  # its answer

Queued = list[tuple[I, asyncio.Future[A]]]


class GroupCommit(Generic[I, A]):
    """Many callers, few transactions: eight connections cost one commit, not eight. Starts on first use.

    `add` returns a future, not a coroutine: writing an item needs no task of its own.

    store: writes items in one transaction; returns one answer per item, in order.
    alone: whether an error may be the fault of one item, so that each item is tried alone.
    told: maps an error to the error that the waiting callers get.
    most: the maximum of items in a transaction; None for no limit.
    """

    def __init__(
        self,
        store: Callable[[list[I]], Awaitable[Sequence[A]]],
        *,
        alone: Callable[[BaseException], bool],
        told: Callable[[BaseException], BaseException] = lambda error: error,
        most: int | None = None,
    ) -> None:
        self._store = store
        self._alone = alone
        self._told = told
        self._most = most
        self._queue: Queued[I, A] = []
        self._flushing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many wait for the next transactions."""
        return len(self._queue)

    def add(self, item: I) -> asyncio.Future[A]:
        """Queue `item`; the future has its answer once it is durable."""
        done: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._queue.append((item, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return done

    async def close(self) -> None:
        """Wait for what is queued."""
        if self._flushing is not None:
            await self._flushing

    async def _flush(self) -> None:
        try:
            while self._queue:
                queued, self._queue = self._queue[: self._most], self._queue[self._most or len(self._queue) :]
                await self._write(queued)
        except BaseException as error:
            # Callers that came while this task was being cancelled must not wait forever.
            self._fail(self._queue, error)
            self._queue = []
            raise

    async def _write(self, queued: Queued[I, A]) -> None:
        try:
            answers = await self._store([item for item, _ in queued])
        except BaseException as error:
            if isinstance(error, Exception) and len(queued) > 1 and self._alone(error):
                for one in queued:
                    await self._write([one])
                return
            self._fail(queued, error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, done), answer in zip(queued, answers, strict=True):
            if not done.done():
                done.set_result(answer)

    def _fail(self, queued: Queued[I, A], error: BaseException) -> None:
        for _, done in queued:
            if not done.done():
                done.set_exception(self._told(error))
