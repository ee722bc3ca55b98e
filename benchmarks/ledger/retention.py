"""Retention on SQLite: half a million old notifications are deleted while another process accepts orders.

SQLite has one writer. Retention's transactions are timed from their beginning to their commit; the other
process accepts one order at a time and waits five seconds for the file, as the gateway does.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from benchmarks.harness import sample_ledgers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import python, run_to_end
from benchmarks.harness.progress import say
from benchmarks.harness.sample_ledgers import BATCH
from benchmarks.ledger import million_rows
from waypost.ledger import Ledger
from waypost.ledger.database.ledger import Work
from waypost.ledger.database.sqlite import SqliteLedger
from waypost.ledger.database.tables import notifications
from waypost.ledger.operations.retention import prune
from waypost.system.clock import now

ROWS = 500_000
BESIDE_SECONDS = 20


async def measure() -> Measured:
    """Measure SQLite only: on PostgreSQL a deletion does not block other writers."""
    async with sample_ledgers.empty("SQLite") as ledger:
        if not isinstance(ledger, SqliteLedger):
            raise NotMeasured("not a ledger in a file")
        await _fill(ledger)
        say(f"retention: {ROWS:,} old notifications to delete")
        writer = asyncio.create_task(_beside(ledger))
        began = time.perf_counter()
        timed = Timed(ledger)
        pruned = await prune(timed, 1)
        took, beside = time.perf_counter() - began, await writer
    writes, longest = timed.seconds, max(timed.seconds) * 1000
    print(f"{pruned:,} deleted in {took:.0f} s, {len(writes):,} transactions, the longest {longest:.1f} ms")
    print(f"beside it {beside['accepted']} orders accepted, {beside['refused']} refused")
    print(f"  the slowest took {beside['slowest_ms']:.0f} ms")
    return Measured(
        bars=[
            Bar("retention_deleted", pruned, "==", ROWS),
            Bar("retention_longest_write_ms", longest, "<", 50),
            Bar("retention_beside_refused", beside["refused"], "==", 0),
        ],
        figures={"seconds": took, "transactions": len(writes), "longest_ms": longest, **beside},
    )


async def _fill(ledger: Ledger) -> None:
    await sample_ledgers.fill(ledger, sample_ledgers.lines(), BATCH)
    await million_rows.grow(ledger, ROWS)
    old = sa.update(notifications).where(notifications.c.state == "sent")
    ended = old.values(finished_at=now() - timedelta(days=9))
    await ledger.write(lambda connection: connection.execute(ended))


class Timed(SqliteLedger):
    """The same ledger, which records how many seconds each write held the one writer."""

    def __init__(self, ledger: SqliteLedger) -> None:
        super().__init__(ledger.engine, ledger.lease)
        self.seconds: list[float] = []

    def _transact(self, work: Work[Any], writes: bool) -> Any:
        began = 0.0

        def noted(connection: sa.Connection) -> Any:
            nonlocal began
            began = time.perf_counter()
            return work(connection)

        answer = super()._transact(noted, writes)
        if writes:
            self.seconds.append(time.perf_counter() - began)
        return answer


async def _beside(ledger: SqliteLedger) -> dict[str, float]:
    url = str(ledger.engine.url)
    accepting = python("benchmarks.ledger.accepting_process", url, str(BESIDE_SECONDS))
    return json.loads(await run_to_end(accepting, {}))
