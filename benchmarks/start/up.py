"""From `waypost up` until it says that it is up, over a ledger and a Prefect database that are there.

The checkouts start in turns. Time by the clock, and of processors: of all the processes that it starts.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.harness.checkouts import BEFORE, HERE, checkouts, settings_of
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import environment, python, running
from benchmarks.harness.processor_time import of_ended_children
from benchmarks.harness.progress import say

ROUNDS = 5
IS_UP = b"Waypost is up."
WITHIN = 120.0
PORTS = ("--port=0", "--smtp-port=0", "--texts-port=0", "--gateway-port=0")


async def measure() -> Measured:
    """The median of each checkout, and their ratio."""
    sides = checkouts()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    busy: dict[str, list[float]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory(prefix="waypost-start-") as home:
        for number in range(ROUNDS + 1):
            for name, folder in sides.items():
                took, worked = await _start(folder, Path(home) / name.replace(" ", "-"))
                say(f"{number}/{ROUNDS}  {name:14} {took:5.1f} s{'' if number else '; not counted'}")
                if number:
                    seconds[name].append(took)
                    busy[name].append(worked)
    for name in sides:
        middle, work = statistics.median(seconds[name]), statistics.median(busy[name])
        print(f"  waypost up, {name:14} {middle:5.2f} s; until stopped {work:5.2f} s of processors")
    bars: list[Bar] = []
    if BEFORE in sides:
        ratio = statistics.median(seconds[HERE]) / statistics.median(seconds[BEFORE])
        bars.append(Bar("up_beside_before", ratio, "<", 0.5))
    return Measured(bars, {"seconds": seconds, "processor_seconds": busy})


async def _start(folder: Path, home: Path) -> tuple[float, float]:
    """Start and stop. Seconds until it is up, and of processors until it has ended."""
    home.mkdir(exist_ok=True)
    log = home / "up.log"
    log.unlink(missing_ok=True)
    used, began = of_ended_children(), time.monotonic()
    with running(python("waypost", "up", *PORTS), environment(home, **settings_of(folder)), log) as process:
        while IS_UP not in log.read_bytes():
            if process.poll() is not None or time.monotonic() - began > WITHIN:
                raise NotMeasured(f"waypost up did not start:\n{log.read_text()[-2000:]}")
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
    return took, of_ended_children() - used
