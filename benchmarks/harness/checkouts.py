"""This checkout, and an earlier one that BENCH_BEFORE names (`git worktree add ../before COMMIT`).

BENCH_AFTER names a checkout to measure in place of this one: what did a change cost that was made long ago?
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from benchmarks.harness.processes import ROOT

HERE, BEFORE = "this checkout", "before"
KEPT = 0.95  # of the earlier checkout's rate


def checkouts() -> dict[str, Path]:
    """The folders to compare, by name."""
    before = os.environ.get("BENCH_BEFORE", "")
    after = os.environ.get("BENCH_AFTER", "")
    return {HERE: Path(after) if after else ROOT, **({BEFORE: Path(before)} if before else {})}


def in_turn(sides: Iterable[str], round: int) -> list[str]:
    """The sides in the order of a round: no side is always first, as a machine's speed drifts."""
    return list(sides)[:: 1 if round % 2 else -1]


def settings_of(folder: Path) -> dict[str, str]:
    """What the environment of a process needs to run the code of a checkout."""
    return {"PYTHONPATH": str(folder), "WAYPOST_PROJECT": str(folder)}
