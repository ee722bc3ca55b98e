"""A million rows in the ledger: does claiming, or explaining, get slower?

Claiming a batch of 500 and explaining one notification are measured on a ledger that holds only what is
claimed, and again when it holds a million sent notifications, with an attempt each, besides.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from benchmarks import ledgers
from benchmarks.figures import Bar, Measured
from benchmarks.ledgers import BATCH
from benchmarks.progress import say
from flows.order_confirmation import TYPE
from waypost.ledger import Ledger, claims, timeline
from waypost.ledger.batches import Ending, end
from waypost.ledger.tables import notifications

ROWS = 1_000_000
CLAIMS = 15
EXPLAINED = 200


@dataclass(frozen=True, slots=True)
class Times:
    """Medians in milliseconds: of claiming a batch of 500, and of explaining one notification."""

    claim: float
    explain: float


async def measure() -> Measured:
    """Both databases, before and after."""
    slower: dict[str, Times] = {}
    figures: dict[str, dict[str, float]] = {}
    for kind in ledgers.KINDS:
        async with ledgers.empty(kind) as ledger:
            await ledgers.fill(ledger, ledgers.lines(), BATCH * CLAIMS)
            before = await _times(ledger)
            say(f"{kind}: {ROWS:,} rows more")
            await _grow(ledger)
            after = await _times(ledger)
        slower[kind] = Times(*(_percent(getattr(before, n), getattr(after, n)) for n in ("claim", "explain")))
        figures[kind] = {"before": asdict(before), "after": asdict(after)}  # type: ignore[dict-item]
        print(f"{kind}: claiming {BATCH}: {before.claim:.1f} ms, with {ROWS:,} rows {after.claim:.1f} ms")
        print(f"{kind}: explaining one: {before.explain:.2f} ms, with {ROWS:,} rows {after.explain:.2f} ms")
    return Measured(
        bars=[
            Bar(f"million_{kind.lower()}_{part}_slower_pct", getattr(found, part), "<", 20)
            for kind, found in slower.items()
            for part in ("claim", "explain")
        ],
        figures=figures,
    )


def _percent(before: float, after: float) -> float:
    return (after / before - 1) * 100


async def _times(ledger: Ledger) -> Times:
    some = sa.select(notifications.c.id).limit(EXPLAINED)
    ids = await ledger.read(lambda connection: list(connection.scalars(some)))
    waiting = iter(ids)

    async def explain() -> None:
        await timeline.explain(ledger, next(waiting))

    claim = await _median(lambda: _claim(ledger), CLAIMS)
    return Times(claim, await _median(explain, len(ids)))


async def _median(work: Callable[[], Awaitable[None]], times: int) -> float:
    seconds: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:]) * 1000


async def _claim(ledger: Ledger) -> None:
    """Claim a batch, and give it back so that the next finds as much."""
    claim = await claims.reserve(ledger, TYPE.name, TYPE.lane)
    ledgers.required(ledger, claim)
    assert claim is not None
    await claims.take(ledger, TYPE.name, claim.id)
    await end(ledger, claim.id, Ending.LOST)


async def _grow(ledger: Ledger) -> None:
    """Copies of what is there, sent, with an attempt each, written by the database itself."""
    some = await ledger.read(lambda connection: connection.scalar(sa.select(notifications.c.id).limit(1)))
    assert some is not None
    numbers, id = (_POSTGRES if ledger.is_postgres else _SQLITE).values()
    given = {"some": some if ledger.is_postgres else some.hex, "rows": ROWS}

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.text(_NOTIFICATIONS.format(numbers=numbers, id=id)), given)
        connection.execute(sa.text(_ATTEMPTS))

    await ledger.write(work)
    if ledger.is_postgres:
        await ledger.write(lambda connection: connection.execute(sa.text("ANALYZE")))


_POSTGRES = {"numbers": "generate_series(1, :rows) AS n", "id": "md5('row' || n)::uuid"}
_SQLITE = {
    "numbers": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT :rows) SELECT n FROM s)",
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
