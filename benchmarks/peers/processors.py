"""Where the time of the road goes: the processor seconds of each process, while Waypost sends the orders.

From just before the first post until all are recorded as sent. All PostgreSQL processes of the machine count.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
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
                    spent = _spent_since(before)
                found[side.name] = dict(spent)
                print(f"{side.name}: {orders} orders in {took:.1f} s")
                for name, seconds in spent.most_common():
                    if seconds >= 0.005 * took:
                        print(f"  {seconds:6.2f} s  {seconds / orders * 1000:5.2f} ms an order  {name}")
    return Measured([], {"processor seconds": found})


def _spent_since(before: Mapping[int, tuple[str, float]]) -> Counter[str]:
    """Seconds by what the processes are. A process that has ended meanwhile does not count."""
    spent: Counter[str] = Counter()
    for pid, (name, seconds) in _processor_seconds().items():
        spent[name] += seconds - before.get(pid, (name, 0.0))[1]
    return spent


def _processor_seconds() -> dict[int, tuple[str, float]]:
    """What each process is, by its id, and the seconds that it has used."""
    found: dict[int, tuple[str, float]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if name := next((name for part, name in PROCESSES if part in words), ""):
            ticks = int(fields[11]) + int(fields[12])
            found[int(folder.name)] = name, ticks / os.sysconf("SC_CLK_TCK")
    return found
