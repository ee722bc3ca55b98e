"""Thirty triggers at once on the embedded default.

Rate: runs divided by the seconds from before the first request to the API until the sink has read the
last mail. 503s: the responses to the trigger's own client, and those that the worker's client logs and
retries; on SQLite each costs seconds.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass

from benchmarks.harness import sample_orders, servers
from benchmarks.harness.figures import Bar, Measured
from benchmarks.harness.prefect_api import PrefectApi
from benchmarks.harness.progress import say
from benchmarks.harness.sinks import Arrivals, arrivals

RUNS = 30
PATIENCE = 90.0
RETRIED = re.compile(r"retryable\s+status\s+code\s+503")


@dataclass(frozen=True, slots=True)
class Burst:
    """The result of the triggers; `seconds` until the last mail."""

    seconds: float
    states: Counter[str]
    duplicates: int


async def measure() -> Measured:
    """One burst, after a run that compiles the templates."""
    say("burst: starting the embedded default")
    async with arrivals() as sink, servers.embedded(sink.url) as server, PrefectApi(server.api) as prefect:
        deployment = await prefect.deployment_id(server.deployment)
        await _one(prefect, sink, deployment, "first")
        say(f"{RUNS} triggers at once")
        burst = await _burst(prefect, sink, deployment)
        retried = len(RETRIED.findall(server.log.read_text()))
    rate = RUNS / burst.seconds
    ended = ", ".join(f"{count} {state}" for state, count in burst.states.items())
    print(f"{RUNS} triggers at once, embedded default: {burst.seconds:.2f} s, {rate:.2f} runs/s; {ended}")
    print(f"  503s: {prefect.unavailable} to the trigger, {retried} to the worker")
    print(f"  mails sent twice: {burst.duplicates}")
    return Measured(
        bars=[
            Bar("burst_runs_per_s", rate, ">=", 2),
            Bar("burst_503", prefect.unavailable + retried, "==", 0),
        ],
        figures={"seconds": burst.seconds, "states": burst.states, "duplicates": burst.duplicates},
    )


async def _burst(prefect: PrefectApi, sink: Arrivals, deployment: str) -> Burst:
    began = time.time()
    made = await asyncio.gather(
        *(_one(prefect, sink, deployment, f"burst-{number}") for number in range(RUNS))
    )
    runs = await prefect.ended([id for id, _ in made])
    return Burst(
        seconds=max(taken for _, taken in made) - began,
        states=Counter(run.state for run in runs),
        duplicates=sink.duplicates,
    )


async def _one(prefect: PrefectApi, sink: Arrivals, deployment: str, name: str) -> tuple[str, float]:
    """The run's id, and when its mail was taken."""
    address = f"{name}@waypost-bench.example"
    id = await prefect.trigger(deployment, sample_orders.to_somebody_new(address))
    return id, await sink.taken_at(address, PATIENCE)
