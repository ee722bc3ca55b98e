"""Where the time of the road goes: the processor seconds of each process, while Waypost sends the orders.

From just before the first post until all are recorded as sent. All PostgreSQL processes of the machine count.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping

from benchmarks.harness import servers
from benchmarks.harness.figures import Measured
from benchmarks.harness.processor_time import Process, processes
from benchmarks.harness.sinks import counting
from benchmarks.peers import waypost_sides
from benchmarks.peers.road import ORDERS, REST, WARM_UP, all_taken

# Words of a command line, and what the process is. The first that fits counts.
PROCESSES = (
    ("postgres", "PostgreSQL"),
    ("waypost.deployments.render_process", "worker: the process that renders"),
    ("waypost up", "waypost up: gateway and worker"),
    ("waypost worker", "worker"),
    ("waypost gateway", "gateway"),
    ("prefect", "Prefect server"),
    ("smtp-sink", "mail server"),
)


async def measure() -> Measured:
    """The seconds by process, on each database."""
    orders = int(os.environ.get("BENCH_ORDERS", ORDERS))
    found: dict[str, dict[str, float]] = {}
    with servers.new_home() as home:
        async with counting(home) as sink:
            for side in waypost_sides.sides():
                async with side.open(sink.port) as opened:
                    await all_taken(opened, sink, "warm", WARM_UP)
                    await asyncio.sleep(REST)
                    before = processes()
                    took = await all_taken(opened, sink, "road", orders)
                    spent = _spent_since(before)
                found[side.name] = dict(spent)
                print(f"{side.name}: {orders} orders in {took:.1f} s")
                for name, seconds in spent.most_common():
                    if seconds >= 0.005 * took:
                        print(f"  {seconds:6.2f} s  {seconds / orders * 1000:5.2f} ms an order  {name}")
    return Measured([], {"processor seconds": found})


def _spent_since(before: Mapping[int, Process]) -> Counter[str]:
    """Seconds by what the processes are. A process that has ended meanwhile does not count."""
    spent: Counter[str] = Counter()
    for pid, process in processes().items():
        if name := next((name for part, name in PROCESSES if part in process.command), ""):
            spent[name] += process.seconds - (before[pid].seconds if pid in before else 0.0)
    return spent
