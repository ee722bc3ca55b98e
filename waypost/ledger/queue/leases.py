"""The leases that a process holds, renewed together."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.failures import log_failure
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import batches
from waypost.ledger.queue.batches import RENEWALS, logger
from waypost.system.clock import now
from waypost.system.waiting import wait_for


class Leases:
    """Everything this process holds, renewed `RENEWALS` times a lease with one statement."""

    _of_run: ClassVar[ContextVar[list[UUID] | None]] = ContextVar("leases", default=None)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: dict[UUID, int] = {}
        self._beating: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def hold(self, batch: UUID) -> None:
        """Keep `batch` from now on; as often as it was held, it must be let go."""
        self._held[batch] = self._held.get(batch, 0) + 1
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())

    def let_go(self, batch: UUID) -> None:
        """Renew it no more, once everybody here who held it has let go."""
        left = self._held.pop(batch, 0) - 1
        if left > 0:
            self._held[batch] = left

    @contextmanager
    def over_a_run(self) -> Generator[list[UUID]]:
        """Let go at the end of the block, however it ends, of what its run holds: the batches yielded."""
        held: list[UUID] = []
        token = self._of_run.set(held)
        try:
            yield held
        finally:
            self._of_run.reset(token)
            for batch in held:
                self.let_go(batch)

    def hold_for_run(self, batch: UUID) -> None:
        """Keep `batch` until its run has ended: the process that runs it holds it, and nobody else, so
        that it lapses when that process dies. Where each run is a process, to the process's end."""
        self.hold(batch)
        if (held := self._of_run.get()) is not None:
            held.append(batch)

    def let_go_of_run(self, batch: UUID) -> None:
        """The run has accounted for `batch`."""
        held = self._of_run.get()
        if held is None or batch in held:
            self.let_go(batch)
        if held is not None and batch in held:
            held.remove(batch)

    async def close(self) -> None:
        """Renew nothing any more. A renewal under way is waited for: a connection is not left in the
        middle of a statement."""
        self._held.clear()
        self._closing.set()
        if self._beating is not None:
            await asyncio.gather(self._beating, return_exceptions=True)

    async def _beat(self) -> None:
        wait = self._ledger.lease.total_seconds() / RENEWALS
        pause = wait
        while not await wait_for(self._closing, pause):
            pause = wait
            if not self._held:
                continue
            try:
                await renew(self._ledger, list(self._held))
            except Exception as error:  # asyncpg's connect errors have no common class
                log_failure(logger, "leases could not be renewed; trying again", error)
                pause = min(1.0, wait)


_RENEWED = (
    sa.update(batches)
    .where(in_ids(batches.c.id, "ids"), batches.c.ended_at.is_(None))
    .values(leased_until=sa.bindparam("until"))
)


async def renew(ledger: Ledger, ids: Sequence[UUID]) -> None:
    """Those of `ids` that are open are this process's for another lease."""
    given = {"ids": ids, "until": now() + ledger.lease}
    await ledger.write(lambda connection: connection.execute(_RENEWED, given))
