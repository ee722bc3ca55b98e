"""Prints progress on standard error; figures go to standard output."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Print a line at once."""
    print(f"  {line}", file=sys.stderr, flush=True)
