"""A flood: 10,000 requests, accepted one by one as fast as possible, become few Prefect runs.

Meanwhile a worker (the embedded default, then everything on PostgreSQL) sends the requests. For comparison,
stock `flow.serve()` on the embedded server gets a run each for 50 requests, scaled to 10,000 by arithmetic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import sqlalchemy as sa

from benchmarks.harness import sample_ledgers, sample_orders, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.prefect_api import PrefectApi
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import Arrivals, arrivals
from waypost.deployments.registry import find
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger
from waypost.ledger.database.tables import batches, notifications
from waypost.ledger.intake import accept
from waypost.model.states import State

REQUESTS = 10_000
CLIENTS = 16
STOCK_RUNS = 50
ENDS_WITHIN = 240.0


@dataclass(frozen=True, slots=True)
class Flood:
    """The result of a flood. Seconds are from before the first request."""

    runs: int
    sent: int
    twice: int
    accepted_in: float
    sent_in: float


async def measure() -> Measured:
    """Both databases, then stock."""
    floods: dict[str, Flood] = {}
    for kind, server in servers.BY_DATABASE.items():
        say(f"flood: {REQUESTS:,} requests, {kind}")
        async with arrivals() as sink, server(sink.url) as running:
            floods[kind] = await _flood(running, sink)
    stock = await _stock()
    for kind, one in floods.items():
        print(f"{REQUESTS:,} single requests, {kind}: accepted in {one.accepted_in:.1f} s, all sent after")
        print(f"  {one.sent_in:.1f} s by {one.runs} Prefect runs; {one.sent} sent, {one.twice} twice")
    print(f"stock flow.serve(), a run each: {STOCK_RUNS} in {stock:.1f} s; 10,000 on paper in")
    longer = _times_slower(stock, floods)
    print(f"  {stock / STOCK_RUNS * REQUESTS:.0f} s by 10,000 runs: {longer:.0f} times as long")
    return Measured(
        bars=[
            bar
            for kind, one in floods.items()
            for bar in (
                Bar(f"flood_{kind.lower()}_runs", one.runs, "<", 100),
                Bar(f"flood_{kind.lower()}_not_sent", REQUESTS - one.sent, "==", 0),
                Bar(f"flood_{kind.lower()}_twice", one.twice, "==", 0),
            )
        ],
        figures={**{kind: asdict(one) for kind, one in floods.items()}, "stock_seconds": stock},
    )


def _times_slower(stock: float, floods: dict[str, Flood]) -> float:
    return stock / STOCK_RUNS * REQUESTS / max(one.sent_in for one in floods.values())


async def _flood(running: Running, sink: Arrivals) -> Flood:
    ledger = running.ledger()
    try:
        lines = iter(list(islice(sample_ledgers.lines(), REQUESTS)))
        began = time.monotonic()
        await asyncio.gather(*(_client(ledger, lines) for _ in range(CLIENTS)))
        accepted_in = time.monotonic() - began
        sent = await _until_ended(ledger)
        sent_in = time.monotonic() - began
        runs = await ledger.read(
            lambda connection: connection.scalar(
                sa.select(sa.func.count(sa.distinct(batches.c.flow_run_id))).where(batches.c.size > 0)
            )
        )
        return Flood(int(runs or 0), sent, sink.duplicates, accepted_in, sent_in)
    finally:
        await ledger.close()


async def _client(ledger: Ledger, lines: Iterator[bytes]) -> None:
    validate = find(TYPE.name).request.validate_json
    for line in lines:
        await accept.accept(ledger, TYPE, [validate(line)])


async def _until_ended(ledger: Ledger) -> int:
    """How many were sent, once all are or ENDS_WITHIN has passed."""
    counted = sa.select(sa.func.count()).where(notifications.c.state == State.SENT)
    until = time.monotonic() + ENDS_WITHIN
    sent = 0
    while time.monotonic() < until:
        sent = await ledger.read(lambda connection: connection.scalar(counted) or 0)
        if sent >= REQUESTS:
            break
        await asyncio.sleep(0.25)
    return sent


async def _stock() -> float:
    """Seconds from before the first of 50 triggers at once until the last mail."""
    say(f"flood: stock flow.serve(), {STOCK_RUNS} runs")
    async with arrivals() as sink, servers.stock(sink.url) as running, PrefectApi(running.api) as prefect:
        deployment = await prefect.deployment_id(running.deployment)
        people = [f"stock-{number}@waypost-bench.example" for number in range(STOCK_RUNS)]
        began = time.monotonic()
        await asyncio.gather(
            *(prefect.trigger(deployment, sample_orders.to_somebody_new(person)) for person in people)
        )
        try:
            await asyncio.gather(*(sink.taken_at(person, ENDS_WITHIN) for person in people))
        except NotMeasured as error:
            raise NotMeasured(f"{error}; its log ends with:\n{running.last_words}") from None
        return time.monotonic() - began
