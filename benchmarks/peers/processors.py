"""Where the time of the road goes: the processor seconds of each process, while Waypost sends the orders.

From just before the first post until all are recorded as sent. All PostgreSQL processes of the machine count.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

from benchmarks.harness import servers
from benchmarks.harness.figures import Measured
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
                    before = _processor_seconds()
                    took = await all_taken(opened, sink, "road", orders)
                    spent = _processor_seconds()
                    spent.subtract(before)
                found[side.name] = dict(spent)
                print(f"{side.name}: {orders} orders in {took:.1f} s")
                for name, seconds in spent.most_common():
                    if seconds >= 0.005 * took:
                        print(f"  {seconds:6.2f} s  {seconds / orders * 1000:5.2f} ms an order  {name}")
    return Measured([], {"processor seconds": found})


def _processor_seconds() -> Counter[str]:
    """Of the processes there are, by what they are."""
    seconds: Counter[str] = Counter()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if name := next((name for part, name in PROCESSES if part in words), ""):
            seconds[name] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds
