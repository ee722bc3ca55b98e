"""Posts beside a client that lists: what listing one client's long history costs the posts of all clients.

One gateway on PostgreSQL, whose ledger has 300,000 notifications of one client. Posts are measured alone and
beside that client's lists by recipient, in turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress

import httpx
import sqlalchemy as sa

from benchmarks.gateway.http_intake import CLIENTS, load
from benchmarks.harness import databases, gateways, sample_ledgers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.gateways import Door
from benchmarks.harness.progress import say
from benchmarks.ledger import million_rows
from waypost.config.settings import with_async_driver
from waypost.ledger import Ledger, open_ledger
from waypost.ledger.database.tables import notifications, recipients

ROWS = 300_000
ROUNDS = 3
LISTS_PER_SECOND = 10


async def measure() -> Measured:
    """The medians of the rounds."""
    alone: list[float] = []
    beside: list[float] = []
    listed: list[float] = []
    async with databases.fresh("lists") as (url,), gateways.alone(url) as door:
        say(f"lists: {ROWS:,} notifications of one client")
        await _fill(url)
        for _ in range(ROUNDS):
            alone.append((await load(door, CLIENTS, 1))["per_s"])
            listing = asyncio.create_task(_list(door, listed))
            beside.append((await load(door, CLIENTS, 1))["per_s"])
            listing.cancel()
            with suppress(asyncio.CancelledError):
                await listing
    if not listed:
        raise NotMeasured("no list was answered")
    kept = statistics.median(beside) / statistics.median(alone) * 100
    ordered = sorted(listed)
    print(
        f"posts alone {statistics.median(alone):.0f} a second, beside lists {statistics.median(beside):.0f}"
    )
    print(
        f"lists p50 {ordered[len(ordered) // 2]:.1f} ms, the slowest {ordered[-1]:.1f} ms (n={len(ordered)})"
    )
    return Measured(
        bars=[Bar("gateway_posts_beside_lists_pct", kept, ">=", 90)],
        figures={"alone_per_s": alone, "beside_per_s": beside, "list_ms": listed},
    )


async def _fill(url: str) -> None:
    ledger = open_ledger(with_async_driver(url))
    try:
        await sample_ledgers.fill(ledger, sample_ledgers.lines(), sample_ledgers.BATCH)
        await million_rows.grow(ledger, ROWS)
        await _give_to_the_client(ledger)
    finally:
        await ledger.close()


async def _give_to_the_client(ledger: Ledger) -> None:
    for table in (notifications, recipients):
        owned = sa.update(table).values(client="bench")
        await ledger.write(lambda connection, owned=owned: connection.execute(owned))
    await ledger.write(lambda connection: connection.execute(sa.text("ANALYZE")))


async def _list(door: Door, listed: list[float]) -> None:
    """List a recipient's notifications LISTS_PER_SECOND times a second; add the milliseconds of each list."""
    headers = {"authorization": f"Bearer {door.key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", headers=headers) as client:
        for number in range(10**9):
            began = time.perf_counter()
            asked = {"recipient": f"buyer-{number % sample_ledgers.BATCH}"}
            answer = await client.get("/v1/notifications", params=asked)
            if answer.status_code != 200:
                raise NotMeasured(f"a list was answered {answer.status_code}: {answer.text[:200]}")
            listed.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(max(0.0, 1 / LISTS_PER_SECOND - (time.perf_counter() - began)))
