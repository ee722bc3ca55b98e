"""The ledger's loop: orders accepted, claimed, attempted and recorded; what each step costs a notification.

The checkouts take each step in turns: this one, and the one that BENCH_BEFORE names. Processor time is that
of the process and of its PostgreSQL backends: others on the machine disturb it less than the clock.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import orjson

from benchmarks.harness import databases, sample_orders, servers
from benchmarks.harness.checkouts import BEFORE, HERE, checkouts, in_turn, settings_of
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import ROOT, environment
from benchmarks.harness.progress import say
from benchmarks.harness.sample_ledgers import KINDS

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "20"))
WARM_UP = 2  # rounds that are not counted: connections are made, statements compiled
STEPS = ("accept", "claim", "attempt", "outcome", "claim_for_run", "connections")
RECORDING = ("claim", "attempt", "outcome")
COMPARED = {"accept": ("accept",), "record": RECORDING, "run": ("claim_for_run", "connections")}
ACCEPTED = {"PostgreSQL": 10_000, "SQLite": 6_000}  # a second
RECORDED = 0.1  # milliseconds
SLOWER = 1.05  # times as slow as before

Cost = list[float]  # milliseconds: by the clock, of the process, of its backends
Rounds = list[dict[str, Cost]]  # by step
Side = Callable[[str], Awaitable[Cost]]


async def measure() -> Measured:
    """The medians of the rounds on each database."""
    bars: list[Bar] = []
    figures: dict[str, dict[str, Rounds]] = {}
    print("milliseconds a notification: the median of the rounds (the least, the most)")
    for kind in KINDS:
        say(f"{ROUNDS} rounds on {kind}")
        figures[kind] = await _rounds(kind)
        _tell(kind, figures[kind])
        bars += _bars(kind, figures[kind])
    return Measured(bars, dict(figures))


async def _rounds(kind: str) -> dict[str, Rounds]:
    """The rounds of each checkout."""
    compared = checkouts()
    orders = sample_orders.source(compared.get(BEFORE, ROOT))  # an earlier commit may not know new facts
    async with AsyncExitStack() as stack:
        sides = {
            name: await stack.enter_async_context(_side(kind, folder, orders))
            for name, folder in compared.items()
        }
        rounds: dict[str, Rounds] = {name: [] for name in sides}
        for number in range(WARM_UP + ROUNDS):
            turns = in_turn(sides, number)
            round: dict[str, dict[str, Cost]] = {name: {} for name in sides}
            for step in STEPS:
                for name in turns:
                    round[name][step] = await sides[name](step)
            for name in sides:
                rounds[name].append(round[name])
    return {name: found[WARM_UP:] for name, found in rounds.items()}


@asynccontextmanager
async def _side(kind: str, folder: Path, orders: Path) -> AsyncGenerator[Side]:
    """A process with the code of a checkout and an empty ledger; it takes the steps that it is asked for."""
    async with AsyncExitStack() as stack:
        home = stack.enter_context(servers.new_home())
        url = f"sqlite:///{home / 'ledger.db'}"
        if kind == "PostgreSQL":
            [url] = await stack.enter_async_context(databases.fresh("loop"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", Path(__file__).with_name("loop_process.py"), url, orders),
            cwd=folder,
            env=environment(home, **settings_of(folder)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        asks, answers = process.stdin, process.stdout

        async def take(step: str) -> Cost:
            asks.write(f"{step}\n".encode())
            if not (line := await answers.readline()):
                raise NotMeasured(f"{step} failed in {folder}")
            return orjson.loads(line)

        try:
            yield take
        finally:
            asks.close()
            await process.wait()


def _tell(kind: str, rounds: dict[str, Rounds]) -> None:
    for step in STEPS:
        for what, measured in (("by the clock", _clock), ("of processors", _processors)):
            series = {side: [measured(one, [step]) for one in found] for side, found in rounds.items()}
            shown = "   ".join(f"{side} {_spread(found)}" for side, found in series.items())
            compared = f"   {_ratio(series) - 1:+.1%}" if BEFORE in series else ""
            print(f"  {kind:<10} {step:<13} {what:<13} {shown}{compared}")


def _bars(kind: str, rounds: dict[str, Rounds]) -> list[Bar]:
    database = kind.lower()
    accepted = statistics.median(_clock(one, ["accept"]) for one in rounds[HERE])
    recorded = statistics.median(_clock(one, RECORDING) for one in rounds[HERE])
    bars = [
        Bar(f"accept_{database}_per_s", 1000 / accepted, ">=", ACCEPTED[kind]),
        Bar(f"record_{database}_ms", recorded, "<", RECORDED),
    ]
    if BEFORE in rounds:
        for name, steps in COMPARED.items():
            series = {side: [_processors(one, steps) for one in found] for side, found in rounds.items()}
            bars.append(Bar(f"{name}_{database}_beside_before", _ratio(series), "<", SLOWER))
    return bars


def _clock(round: dict[str, Cost], steps: Sequence[str]) -> float:
    return sum(round[step][0] for step in steps)


def _processors(round: dict[str, Cost], steps: Sequence[str]) -> float:
    return sum(sum(round[step][1:]) for step in steps)


def _spread(found: list[float]) -> str:
    return f"{statistics.median(found):.4f} ({min(found):.4f} to {max(found):.4f})"


def _ratio(series: dict[str, list[float]]) -> float:
    """The median of the ratios of rounds that were next to each other."""
    return statistics.median(
        one / other for one, other in zip(series[HERE], series[BEFORE], strict=True) if other
    )
