"""Processor time of short commands, over a ledger with a thousand notifications: the least of five runs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import sample_ledgers, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import ROOT, environment, python
from benchmarks.harness.processor_time import of_ended_children

ROUNDS = 5
FILLED = 1000  # notifications
COMMANDS = (
    ("--version",),
    ("--help",),
    ("list",),
    ("list", "--state", "failed"),
    ("keys", "list"),
    ("webhooks", "--help"),
    ("recipients", "--help"),
    ("cancel", "--state", "held", "--yes"),
    ("hold", "--help"),
)
ASKED = 0.7  # seconds of a processor


async def measure() -> Measured:
    """The least time of each command."""
    with servers.new_home() as home:
        async with sample_ledgers.opened(f"sqlite+aiosqlite:///{home / 'ledger.db'}") as ledger:
            await sample_ledgers.fill(ledger, sample_ledgers.lines(), FILLED)
        least = {" ".join(one): min(_run(home, one) for _ in range(ROUNDS)) for one in COMMANDS}
    for words, seconds in least.items():
        print(f"  waypost {words:32} {seconds:5.2f} s")
    return Measured([Bar("dearest_short_command_seconds", max(least.values()), "<", ASKED)], {"least": least})


def _run(home: Path, command: Sequence[str]) -> float:
    """Seconds of processors that a command takes. Raises NotMeasured if it fails."""
    before = of_ended_children()
    done = subprocess.run(
        python("waypost", *command),
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotMeasured(f"waypost {' '.join(command)}: {done.stderr[-500:]}")
    return of_ended_children() - before
