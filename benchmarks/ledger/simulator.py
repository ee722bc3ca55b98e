"""The simulator: ten thousand seeds, on every processor."""

from __future__ import annotations

import asyncio
import time

from benchmarks.harness.figures import Bar, Measured
from benchmarks.harness.progress import say
from waypost.deployments.simulation import runner

SEEDS = 10_000
SAID_EVERY = 500


async def measure() -> Measured:
    """All seeds from 0 on."""
    said = 0

    def tell(totals: runner.Totals) -> None:
        nonlocal said
        if totals.seeds - said >= SAID_EVERY:
            said = totals.seeds
            say(f"{totals.seeds:6} seeds: {totals.lost} lost, {totals.unexplained} unexplained")

    began = time.perf_counter()
    totals = await asyncio.to_thread(runner.run, range(SEEDS), runner.processors(), tell)
    rate = totals.seeds / (time.perf_counter() - began) * 60
    print(f"{totals.seeds} seeds, {rate:.0f} a minute on {runner.processors()} processors")
    print(f"  {totals.accepted} accepted, {totals.delivered} delivered, {totals.kills} kills")
    print(f"  {totals.unknown} attempts unknown, {totals.duplicated} duplicates")
    print(f"  {totals.unexplained} unexplained")
    print(f"  {totals.late} late, {totals.lost} lost, {totals.illegal} illegal")
    return Measured(
        bars=[
            Bar("simulated_lost", totals.lost, "==", 0),
            Bar("simulated_unexplained_duplicates", totals.unexplained, "==", 0),
            Bar("simulated_late", totals.late, "==", 0),
            Bar("simulated_illegal", totals.illegal, "==", 0),
            Bar("simulated_seeds_per_minute", rate, ">=", 2000),
        ],
        figures={"failed": [verdict.seed for verdict in totals.bad]},
    )
