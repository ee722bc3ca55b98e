"""This checkout, and that of an earlier commit, which BENCH_BEFORE names."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.harness.processes import ROOT, environment

HERE, BEFORE = "this checkout", "before"


def checkouts() -> dict[str, Path]:
    """The folders to compare, by name."""
    before = os.environ.get("BENCH_BEFORE", "")
    return {HERE: ROOT, **({BEFORE: Path(before)} if before else {})}


def in_checkout(folder: Path, home: Path) -> dict[str, str]:
    """The environment of a process that runs the code of a checkout."""
    return environment(home, PYTHONPATH=str(folder), WAYPOST_PROJECT=str(folder))
