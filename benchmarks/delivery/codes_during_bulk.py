"""Verification codes while bulk mail is running: from accept to the SMTP server's 250, beside an idle worker.

One worker, everything on this machine. First a code every 0.4 s with no other work, then the same
while 20,000 orders of the bulk lane go out over the same provider.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count

import orjson

from benchmarks.harness import sample_ledgers, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import Arrivals, arrivals
from waypost.deployments.registry import find
from waypost.flows.order_confirmation import TYPE as ORDER
from waypost.flows.signup_verification import TYPE as CODE
from waypost.ledger import Ledger
from waypost.ledger.intake import accept
from waypost.model.priority import Priority

BULK = 20_000
EVERY_SECONDS = 0.4
IDLE_CODES = 60
WARM_UP = 5
PATIENCE = 60.0
FACTS = {"product": "Waypost", "verify_url": "https://shop.example/verify"}


async def measure() -> Measured:
    """Measure on PostgreSQL, as a busy installation has it, and on the embedded default."""
    bars: list[Bar] = []
    figures: dict[str, dict[str, list[float]]] = {}
    for kind, server in servers.BY_DATABASE.items():
        say(f"codes: idle, then while {BULK:,} go out, {kind}")
        async with arrivals() as sink, server(sink.url) as running:
            idle, busy, took = await _both(running, sink)
        print(f"a code from accept to 250, {kind}: {BULK:,} orders of the bulk lane went in {took:.0f} s")
        for name, found in (("idle", idle), ("bulk", busy)):
            print(
                f"  {name}   median {_at(found, 0.5):.3f} s   p95 {_at(found, 0.95):.3f} s   (n={len(found)})"
            )
        bars.append(Bar(f"code_{kind.lower()}_p95_ratio", _at(busy, 0.95) / _at(idle, 0.95), "<", 2))
        figures[kind] = {"idle": idle, "bulk": busy}
    return Measured(bars, figures)


async def _both(running: Running, sink: Arrivals) -> tuple[list[float], list[float], float]:
    ledger = running.ledger()
    numbers = count()
    try:
        idle = await _codes(ledger, sink, numbers, lambda sent: sent < IDLE_CODES + WARM_UP)
        began = time.monotonic()
        await _fill(ledger)
        ends_at = sink.mails.total() + BULK
        busy = await _codes(ledger, sink, numbers, lambda _: sink.mails.total() < ends_at)
        return idle[WARM_UP:], busy, time.monotonic() - began
    finally:
        await ledger.close()


async def _codes(
    ledger: Ledger, sink: Arrivals, numbers: count[int], goes_on: Callable[[int], bool]
) -> list[float]:
    asked: list[asyncio.Task[float]] = []
    while goes_on(len(asked)):
        asked.append(asyncio.create_task(_code(ledger, sink, next(numbers))))
        await asyncio.sleep(EVERY_SECONDS)
    if not asked:
        raise NotMeasured("everything had gone before the first code")
    return await asyncio.gather(*asked)


async def _code(ledger: Ledger, sink: Arrivals, number: int) -> float:
    address = f"code-{number}@waypost-bench.example"
    line = orjson.dumps({"recipient": {"id": address, "email": address}, "data": FACTS})
    at = time.time()
    await accept.accept(ledger, CODE, [find(CODE.name).request.validate_json(line)])
    return await sink.taken_at(address, PATIENCE) - at


async def _fill(ledger: Ledger) -> None:
    source = sample_ledgers.lines("bulk")
    for _ in range(0, BULK, sample_ledgers.BATCH):
        requests = sample_ledgers.read(source, sample_ledgers.BATCH)
        bulk = [one.model_copy(update={"priority": Priority.BULK}) for one in requests]
        await accept.accept(ledger, ORDER, bulk)


def _at(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(len(seconds) * share)]
