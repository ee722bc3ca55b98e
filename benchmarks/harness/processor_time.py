"""What processes have used of the processors."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine. parent: the id of its parent. seconds: of processors, since its start."""

    parent: int
    command: str
    seconds: float


def processes() -> dict[int, Process]:
    """The processes there are, by id."""
    found: dict[int, Process] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        ticks = int(fields[11]) + int(fields[12])
        found[int(folder.name)] = Process(int(fields[1]), words, ticks / os.sysconf("SC_CLK_TCK"))
    return found


def of_ended_children() -> float:
    """Seconds of all children of this process that have ended, with theirs."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime
