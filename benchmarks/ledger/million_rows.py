"""A million rows in the ledger: does claiming, or explaining, get slower?

Two ledgers are alike, but one has a million more sent notifications with an attempt each. Both do the same
work in turn, so that other load on the machine affects both: claim a batch of 500 orders and take it up,
and explain one notification.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from uuid import UUID

import sqlalchemy as sa

from benchmarks.harness import sample_ledgers
from benchmarks.harness.figures import Bar, Measured
from benchmarks.harness.progress import say
from benchmarks.harness.sample_ledgers import BATCH
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger
from waypost.ledger.database.tables import notifications
from waypost.ledger.operations import timeline
from waypost.ledger.queue import claims
from waypost.ledger.queue.batches import BatchResult, end

ROWS = 1_000_000
CLAIMS = 40
EXPLAINED = 400

Work = Callable[[Ledger], Awaitable[None]]


async def measure() -> Measured:
    """Medians on both databases."""
    slower: dict[str, float] = {}
    for kind in sample_ledgers.KINDS:
        async with _filled(kind) as small, _filled(kind) as large:
            say(f"{kind}: {ROWS:,} rows more in one of two ledgers")
            await grow(large, ROWS)
            some = await _some_ids(small), await _some_ids(large)
            for what, work, times in (
                ("claim", lambda _: _claim, CLAIMS),
                ("explain", lambda ids: _explaining(ids), EXPLAINED),
            ):
                first, second = await _in_turn((small, work(some[0])), (large, work(some[1])), times)
                slower[f"{kind.lower()}_{what}"] = (second / first - 1) * 100
                print(f"{kind:<11} {what:<8} {first:7.2f} ms, with {ROWS:,} rows more {second:7.2f} ms")
    return Measured(
        bars=[Bar(f"million_{name}_slower_pct", value, "<", 20) for name, value in slower.items()],
        figures=dict(slower),
    )


@asynccontextmanager
async def _filled(kind: str) -> AsyncGenerator[Ledger]:
    async with sample_ledgers.empty(kind) as ledger:
        await sample_ledgers.fill(ledger, sample_ledgers.lines(), BATCH * 4)
        yield ledger


async def _some_ids(ledger: Ledger) -> list[UUID]:
    some = sa.select(notifications.c.id).limit(EXPLAINED)
    return await ledger.read(lambda connection: list(connection.scalars(some)))


async def _in_turn(first: tuple[Ledger, Work], second: tuple[Ledger, Work], times: int) -> list[float]:
    """The medians in milliseconds, without the first tenth."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for (ledger, work), found in zip((first, second), seconds, strict=True):
            began = time.perf_counter()
            await work(ledger)
            found.append(time.perf_counter() - began)
    return [statistics.median(found[times // 10 :]) * 1000 for found in seconds]


async def _claim(ledger: Ledger) -> None:
    """Claim a batch, and return it so that the next claim finds as much."""
    claim = await claims.reserve(ledger, TYPE.name, TYPE.lane)
    sample_ledgers.required(ledger, claim)
    assert claim is not None
    await claims.take_up(ledger, TYPE.name, claim.id)
    await end(ledger, claim.id, BatchResult.LOST)


def _explaining(ids: list[UUID]) -> Work:
    waiting = cycle(ids)

    async def explain(ledger: Ledger) -> None:
        await timeline.explain(ledger, next(waiting))

    return explain


async def grow(ledger: Ledger, rows: int) -> None:
    """Add `rows` sent copies of a notification, with an attempt each, written by the database itself."""
    some = await ledger.read(lambda connection: connection.scalar(sa.select(notifications.c.id).limit(1)))
    assert some is not None
    numbers, id = (_POSTGRES if ledger.is_postgres else _SQLITE).values()
    given = {"some": some if ledger.is_postgres else some.hex, "rows": rows}

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.text(_NOTIFICATIONS.format(numbers=numbers, id=id)), given)
        connection.execute(sa.text(_ATTEMPTS))

    await ledger.write(work)
    if ledger.is_postgres:
        await ledger.write(lambda connection: connection.execute(sa.text("ANALYZE")))


_POSTGRES = {"numbers": "generate_series(1, :rows) AS n", "id": "md5('row' || n)::uuid"}
_SQLITE = {
    "numbers": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT :rows)"
    " SELECT n FROM s)",
    "id": "printf('%032x', n)",
}
_NOTIFICATIONS = """
INSERT INTO notifications (id, type, priority, recipient_key, data, state, reason, occurrences,
    accepted_at, due_at, expires_at, finished_at, step, tries, in_doubt)
SELECT {id}, type, priority, recipient_key, data, 'sent', '', 1,
    accepted_at, due_at, expires_at, due_at, 0, 1, 0
FROM notifications, {numbers} WHERE notifications.id = :some
"""
_ATTEMPTS = """
INSERT INTO attempts (id, notification_id, number, channel, provider, started_at, finished_at,
    verdict, phase, code, words)
SELECT id, id, 1, 'email', 'smtp', due_at, due_at, 'accepted', 'dot', 250, 'Ok: queued'
FROM notifications WHERE state = 'sent'
"""
