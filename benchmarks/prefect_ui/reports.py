"""What artifacts and events cost the throughput of delivery.

Two installations, one with WAYPOST_PREFECT_REPORTS=false, send the same orders in turn, so that both meet the
same load on the machine. The time is from the first order accepted to the last outcome in the ledger. States
and names of runs are on both sides: no setting turns them off.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import asdict, dataclass

import orjson

from benchmarks.harness import sample_orders, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processor_time import processes
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import fast
from waypost.deployments import file_send
from waypost.deployments.registry import find
from waypost.flows.order_confirmation import TYPE
from waypost.model.states import State

CONNECTIONS = 16
ROUNDS = 10
SERIES = 1  # of 830 orders, in a round
SETTLES_WITHIN = 180.0
AFTERWARDS = 2.0  # seconds
GENERATIONS = 3  # `waypost up`, its Prefect server and the process that renders, and what these start


async def measure() -> Measured:
    """The cost in percent: of each round's two rates, the median of their ratios."""
    with servers.new_home() as folder:
        async with fast(folder) as sink:
            url = sink.url(CONNECTIONS)
            say(f"reports: starting two installations; sink: {sink.name}")
            off = {"WAYPOST_PREFECT_REPORTS": "false"}
            async with servers.embedded(url) as told, servers.embedded(url, **off) as silent:
                for server in (told, silent):
                    await _rate(server, "warm", series=1)
                pairs = [await _round(told, silent, number) for number in range(ROUNDS)]
    slower = (1 - statistics.median(one.rate / other.rate for one, other in pairs)) * 100
    first, second = (statistics.median(one.rate for one in side) for side in zip(*pairs, strict=True))
    busy, idle = (statistics.median(one.cpu for one in side) for side in zip(*pairs, strict=True))
    count = SERIES * sample_orders.COUNT
    print(f"{count} orders from accepted to sent, {CONNECTIONS} connections, median of {ROUNDS} rounds")
    print(f"  with artifacts and events      {first:8.0f} /s   {busy * 1000:6.2f} ms of processor time each")
    print(f"  without                        {second:8.0f} /s   {idle * 1000:6.2f} ms")
    print(f"  with / without                 {first / second:8.3f}      {busy / idle:6.3f}")
    return Measured(
        bars=[Bar("prefect_reports_throughput_cost_pct", slower, "<", 5)],
        figures={"rounds": [{"with": asdict(one), "without": asdict(other)} for one, other in pairs]},
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """Orders a second, and seconds of processor time for each order: of the worker and its Prefect server."""

    rate: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.rate:.0f}/s at {self.cpu * 1000:.2f} ms"


async def _round(told: Running, silent: Running, number: int) -> tuple[Cost, Cost]:
    """The two sides; the order changes with the round."""
    turns = (told, silent) if number % 2 else (silent, told)
    rates = {id(server): await _rate(server, f"round-{number}") for server in turns}
    one, other = rates[id(told)], rates[id(silent)]
    say(f"with {one}, without {other}")
    return one, other


async def _rate(server: Running, name: str, series: int = SERIES) -> Cost:
    """What so many series of orders cost. The processor time includes what follows within a moment: Prefect
    records events later than the mail."""
    requests = [one for part in range(series) for one in sample_orders.requests(f"{name}-{part}")]
    ledger = server.ledger()
    lines = [orjson.dumps(request) for request in requests]
    began, busy = time.monotonic(), _processor_seconds(server.pid)
    try:
        async with asyncio.timeout(SETTLES_WITHIN):
            sent = await file_send.submit(ledger, find(TYPE.name), lines)
            async for _ in file_send.watch(ledger, sent, "waypost", every=0.05):
                pass
    finally:
        await ledger.close()
    if sent.states[State.SENT] != len(requests):
        raise NotMeasured(f"of {len(requests)} orders: {dict(sent.states)} {sent.reasons}")
    took = time.monotonic() - began
    await asyncio.sleep(AFTERWARDS)
    return Cost(len(requests) / took, (_processor_seconds(server.pid) - busy) / len(requests))


def _processor_seconds(pid: int) -> float:
    """Of a process and those below it."""
    found, below = processes(), {pid}
    for _ in range(GENERATIONS):
        below |= {child for child, process in found.items() if process.parent in below}
    return sum(process.seconds for child, process in found.items() if child in below)
