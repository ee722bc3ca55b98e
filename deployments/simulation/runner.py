"""Runs many seeds on every processor, and adds up their results."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import connection
from pathlib import Path

from waypost.config.settings import Settings
from waypost.deployments.simulation.result import SimulationResult
from waypost.deployments.simulation.scenario import simulate
from waypost.deployments.simulation.world import prepare
from waypost.rendering.live_templates import Templates
from waypost.system.process import freeze_gc

AT_ONCE = 25  # seeds handed to a processor together


@dataclass(slots=True)
class Totals:
    """The sums over all seeds; `bad` are those with anything lost, late, illegal or unexplained."""

    seeds: int = 0
    accepted: int = 0
    delivered: int = 0
    kills: int = 0
    unknown: int = 0
    duplicated: int = 0
    unexplained: int = 0
    lost: int = 0
    late: int = 0
    illegal: int = 0
    bad: list[SimulationResult] = field(default_factory=list[SimulationResult])

    def add(self, one: SimulationResult) -> None:
        """Add the result of a seed."""
        self.seeds += 1
        self.accepted += one.accepted
        self.delivered += one.delivered
        self.kills += one.kills
        self.unknown += one.unknown
        self.duplicated += one.duplicated
        self.unexplained += len(one.unexplained)
        self.lost += len(one.lost)
        self.late += len(one.late)
        self.illegal += len(one.illegal)
        if not one.good:
            self.bad.append(one)


def replay(seed: int, at_step: int | None = None) -> SimulationResult:
    """Run one seed, with every step it takes in `trace`."""
    with _quiet(), tempfile.TemporaryDirectory(prefix="waypost-simulation-") as home:
        settings, templates = prepare(Path(home))
        return simulate(seed, settings, templates, at_step=at_step, trace=True)


def run(seeds: Sequence[int], jobs: int, on_progress: Callable[[Totals], None]) -> Totals:
    """Simulate `seeds` on `jobs` processors."""
    return _spread([(seed, None) for seed in seeds], jobs, on_progress)


def kill_at_every_step(seed: int, jobs: int, on_progress: Callable[[Totals], None]) -> Totals:
    """Run the same requests once for each of their steps, with a process killed at that step and no other
    fault."""
    steps = replay(seed, at_step=0).steps
    return _spread([(seed, step) for step in range(1, steps + 1)], jobs, on_progress)


def _spread(
    wanted: Sequence[tuple[int, int | None]], jobs: int, on_progress: Callable[[Totals], None]
) -> Totals:
    totals = Totals()
    with ProcessPoolExecutor(jobs, initializer=_end_with_parent) as pool:
        waiting = [pool.submit(_some, chunk) for chunk in _chunks(wanted)]
        try:
            for done in as_completed(waiting):
                for result in done.result():
                    totals.add(result)
                on_progress(totals)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    totals.bad.sort(key=lambda one: one.seed)
    return totals


def _end_with_parent() -> None:
    """Called in each process of the pool: it ends once its parent is gone, also if that was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        for folder in _folders:
            folder.cleanup()
        os._exit(1)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _chunks(wanted: Sequence[tuple[int, int | None]]) -> Iterator[Sequence[tuple[int, int | None]]]:
    return (wanted[begin : begin + AT_ONCE] for begin in range(0, len(wanted), AT_ONCE))


def _some(wanted: Iterable[tuple[int, int | None]]) -> list[SimulationResult]:
    settings, templates = _prepared()
    with _quiet():
        return [simulate(seed, settings, templates, at_step=step) for seed, step in wanted]


@cache
def _prepared() -> tuple[Settings, Templates]:
    # Kept as long as this pool process lives, which is as long as the campaign.
    folder = tempfile.TemporaryDirectory(prefix="waypost-simulation-", ignore_cleanup_errors=True)
    _folders.append(folder)
    prepared = prepare(Path(folder.name))
    freeze_gc()  # else the garbage collector scans what is loaded, for a third of the time
    return prepared


_folders: list[tempfile.TemporaryDirectory[str]] = []


@contextmanager
def _quiet() -> Generator[None]:
    """Turn logging off: the simulation makes thousands of faults on purpose."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def processors() -> int:
    """How many simulations may run at once here."""
    return os.cpu_count() or 1
