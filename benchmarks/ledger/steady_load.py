"""Twenty requests a second, from accept to the SMTP server's 250, everything on this machine.

The clock of each request runs from before it is accepted into the ledger until the sink has read the end of
DATA; only the dispatcher starts runs.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import orjson

from benchmarks.harness import sample_orders, servers
from benchmarks.harness.figures import Bar, Measured
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import Arrivals, arrivals
from waypost.deployments.registry import find
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger
from waypost.ledger.intake import accept

RATE = 20.0
SECONDS = 40.0
WARM_UP = 5.0
PATIENCE = 60.0


async def measure() -> Measured:
    """Measure both databases; requests of the first five seconds are not counted."""
    bars: list[Bar] = []
    figures: dict[str, list[float]] = {}
    for kind, server in servers.BY_DATABASE.items():
        say(f"steady: {RATE:g} requests a second for {SECONDS:g} s, {kind}")
        async with arrivals() as sink, server(sink.url) as running:
            seconds = sorted(await _run(running, sink))
        bars += told("steady", f"accept to 250, {RATE:g} a second, {kind}", kind, seconds)
        figures[kind] = seconds
    return Measured(bars=bars, figures=figures)


def told(name: str, what: str, kind: str, seconds: list[float]) -> list[Bar]:
    """Print a sorted series; returns its bars."""
    median, p99 = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
    spread = f"median {median:.3f} s   p99 {p99:.3f} s   max {seconds[-1]:.3f} s   (n={len(seconds)})"
    print(f"{what}: {spread}")
    return [
        Bar(f"{name}_{kind.lower()}_median_s", median, "<", 0.5),
        Bar(f"{name}_{kind.lower()}_p99_s", p99, "<", 2),
    ]


async def _run(running: Running, sink: Arrivals) -> list[float]:
    ledger = running.ledger()
    try:
        return await trips(lambda address: _accept(ledger, address), sink)
    finally:
        await ledger.close()


async def trips(ask: Callable[[str], Awaitable[None]], sink: Arrivals) -> list[float]:
    """The seconds from before `ask`, which has a mail sent to an address, until the mail was taken."""
    began = time.time()
    asked: list[asyncio.Task[tuple[float, float]]] = []
    while (passed := time.time() - began) < SECONDS:
        asked.append(asyncio.create_task(_one(ask, sink, len(asked))))
        await asyncio.sleep(max(0.0, len(asked) / RATE - passed) * random.uniform(0.8, 1.2))
    done = await asyncio.gather(*asked)
    return [taken - at for at, taken in done if at - began > WARM_UP]


async def _one(ask: Callable[[str], Awaitable[None]], sink: Arrivals, number: int) -> tuple[float, float]:
    address = f"steady-{number}@waypost-bench.example"
    at = time.time()
    await ask(address)
    return at, await sink.taken_at(address, PATIENCE)


async def _accept(ledger: Ledger, address: str) -> None:
    line = orjson.dumps(sample_orders.to_somebody_new(address))
    await accept.accept(ledger, TYPE, [find(TYPE.name).request.validate_json(line)])
