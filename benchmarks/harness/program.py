"""The main program of every benchmark: measures its parts, prints the machine, the figures and the bars.

Every part starts its processes in a temporary folder, on free ports, and stops them again. Figures
go to standard output, progress to standard error; a line per bar comes last. The exit status is 0 when
everything was measured, whatever the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.harness import machine
from benchmarks.harness.figures import Measured, NotMeasured
from benchmarks.harness.progress import say


def main(name: str, about: str, parts: Sequence[str]) -> None:
    """Measure the parts asked for: `python -m benchmarks.NAME [--only PART]... [--json FILE]`."""
    options = _options(name, about, parts)
    here = machine.describe()
    print("  ".join(f"{name} {value}" for name, value in here.items()), flush=True)
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder:
        _forget_settings(Path(folder))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                measured = runner.run(_measure(name, options.only or parts))
        except (KeyboardInterrupt, asyncio.CancelledError):
            sys.exit("stopped, and everything it had started with it")
    bars = [bar for part in measured.values() for bar in part.bars]
    for bar in bars:
        print(bar)
    if options.json:
        options.json.write_text(json.dumps(_account(here, measured), indent=2) + "\n")
    missing = len(measured) < len(options.only or parts) or any(math.isnan(bar.value) for bar in bars)
    sys.exit(1 if missing else 0)


def _options(name: str, about: str, parts: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--only", action="append", choices=parts, help="measure this part; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    return parser.parse_args()


def _forget_settings(home: Path) -> None:
    """Remove the settings of this machine, and keep Prefect's files out of the user's home."""
    for name in list(os.environ):
        if name.startswith(("PREFECT_", "WAYPOST_")) and not name.startswith("WAYPOST_TEST_"):
            del os.environ[name]
    os.environ["WAYPOST_HOME"] = str(home)
    os.environ["PREFECT_HOME"] = str(home / "prefect")


async def _measure(program: str, parts: Sequence[str]) -> dict[str, Measured]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    measured: dict[str, Measured] = {}
    for name in dict.fromkeys(parts):
        say(f"-- {name}")
        # Imported here: Prefect reads its settings when it is imported.
        part = importlib.import_module(f"benchmarks.{program}.{name}")
        try:
            measured[name] = await part.measure()
        except NotMeasured as error:
            print(f"{name}: not measured: {error}")
        sys.stdout.flush()
    return measured


def _account(here: dict[str, str], measured: dict[str, Measured]) -> dict[str, Any]:
    return {
        "machine": here,
        "bars": [
            {"name": bar.name, "value": bar.value, "asked": f"{bar.comparison} {bar.asked:g}", "ok": bar.met}
            for part in measured.values()
            for bar in part.bars
        ],
        "figures": {name: part.figures for name, part in measured.items()},
    }
