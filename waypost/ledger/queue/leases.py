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
    """The leases of this process, all renewed with one statement `RENEWALS` times per lease."""

    _of_run: ClassVar[ContextVar[list[UUID] | None]] = ContextVar("leases", default=None)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: dict[UUID, int] = {}
        self._beating: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def hold(self, batch: UUID) -> None:
        """Renew `batch` from now on. Each call needs a `let_go`."""
        self._held[batch] = self._held.get(batch, 0) + 1
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())

    def let_go(self, batch: UUID) -> None:
        """Stop renewing `batch` once every holder in this process has let go."""
        left = self._held.pop(batch, 0) - 1
        if left > 0:
            self._held[batch] = left

    @contextmanager
    def over_a_run(self) -> Generator[list[UUID]]:
        """Yield the batches that the block's run holds; let go of them at its end, however it ends."""
        held: list[UUID] = []
        token = self._of_run.set(held)
        try:
            yield held
        finally:
            self._of_run.reset(token)
            for batch in held:
                self.let_go(batch)

    def hold_for_run(self, batch: UUID) -> None:
        """Renew `batch` until its run has ended. Only the process that runs it holds it, so that the lease
        lapses when that process dies. Where each run is a process, that process holds it to its end."""
        self.hold(batch)
        if (held := self._of_run.get()) is not None:
            held.append(batch)

    def let_go_of_run(self, batch: UUID) -> None:
        """Let go of `batch`: its run has accounted for it."""
        held = self._of_run.get()
        if held is None or batch in held:
            self.let_go(batch)
        if held is not None and batch in held:
            held.remove(batch)

    async def close(self) -> None:
        """Stop renewing. Waits for a renewal in progress, so that no connection is left in the middle of a
        statement."""
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
                log_failure(logger, "leases could not be renewed; retrying", error)
                pause = min(1.0, wait)


_RENEWED = (
    sa.update(batches)
    .where(in_ids(batches.c.id, "ids"), batches.c.ended_at.is_(None))
    .values(leased_until=sa.bindparam("until"))
)


async def renew(ledger: Ledger, ids: Sequence[UUID]) -> None:
    """Renew the leases of the open batches among `ids`."""
    given = {"ids": ids, "until": now() + ledger.lease}
    await ledger.write(lambda connection: connection.execute(_RENEWED, given))
