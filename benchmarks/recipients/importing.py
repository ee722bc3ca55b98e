"""`waypost recipients import` of a million rows into PostgreSQL: rows a second, and how much the process
grows after the first tenth."""

from __future__ import annotations

import asyncio
import csv
import time
from pathlib import Path

from benchmarks.harness import databases, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import environment, python, run_to_end, running
from benchmarks.harness.progress import say

ROWS = 1_000_000
LOOKS_EVERY = 0.5


async def measure() -> Measured:
    """The rate and the growth."""
    async with databases.fresh("import") as (url,):
        with servers.new_home() as home:
            file = home / "people.csv"
            _write(file)
            env = environment(home, WAYPOST_DATABASE_URL=url, WAYPOST_SECRET_KEY="k" * 32)
            await run_to_end(python("waypost", "db", "upgrade"), env)
            seconds, sizes = await _import(home, file, env)
    tenth = max(len(sizes) // 10, 1)
    growth = max(sizes[tenth:], default=0) - max(sizes[:tenth], default=0)
    rate = f"{ROWS / seconds:,.0f} a second"
    print(f"  {ROWS:,} rows in {seconds:.0f} s, {rate}; {growth} kB more than at a tenth")
    bars = [
        Bar("import_rows_per_s", ROWS / seconds, ">=", 10_000),
        Bar("import_growth_mb", growth / 1024, "<", 16),
    ]
    return Measured(bars, {"seconds": seconds, "kilobytes": sizes})


def _write(file: Path) -> None:
    say(f"writing {ROWS:,} rows")
    with file.open("w", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(("id", "email", "name", "locale", "timezone"))
        for number in range(ROWS):
            table.writerow((number, f"p{number}@buyer.example", f"Person {number}", "de-CH", "Europe/Zurich"))


async def _import(home: Path, file: Path, env: dict[str, str]) -> tuple[float, list[int]]:
    """The seconds, and the process's resident kilobytes as it goes."""
    sizes: list[int] = []
    log, began = home / "import.log", time.monotonic()
    with running(python("waypost", "recipients", "import", str(file)), env, log) as process:
        while process.poll() is None:
            sizes.append(_resident(process.pid))
            await asyncio.sleep(LOOKS_EVERY)
        took = time.monotonic() - began
        if process.returncode:
            raise NotMeasured(log.read_text()[-1000:])
    return took, sizes


def _resident(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
