"""From a trigger to the mail, beside Prefect's own time for a run of five empty tasks on the same server.

Triggers and empty runs alternate in two halves, so that both meet the same load on the machine.
"""

from __future__ import annotations

import json
import statistics

from benchmarks.harness import servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.prefect_api import PrefectApi
from benchmarks.harness.processes import environment, python, run_to_end
from benchmarks.harness.progress import say
from benchmarks.harness.sinks import arrivals
from benchmarks.trigger.latency import EMBEDDED, POSTGRES, Side, trips

HALVES = 2


async def measure() -> Measured:
    """The ratio of the medians, on both databases."""
    ratios: dict[str, float] = {}
    for name, side in (("embedded", EMBEDDED), ("postgres", POSTGRES)):
        try:
            mailed, empty = await _measure_side(side)
        except NotMeasured as error:
            print(f"{name}: not measured: {error}")
            ratios[name] = float("nan")
            continue
        ratios[name] = mailed / empty
        told = f"trigger to mail {mailed:.3f} s, five empty tasks {empty:.3f} s"
        print(f"{name:<9} {told}, ratio {ratios[name]:.2f}")
    return Measured(
        bars=[Bar(f"trigger_to_five_tasks_{name}", ratio, "<", 2.0) for name, ratio in ratios.items()],
        figures=dict(ratios),
    )


async def _measure_side(side: Side) -> tuple[float, float]:
    """The medians in seconds: to the mail, and of an empty run."""
    say(f"ratio, {side.name}: starting it")
    mailed: list[float] = []
    empty: list[float] = []
    async with arrivals() as sink, side.server(sink.url) as server, PrefectApi(server.api) as prefect:
        deployment = await prefect.deployment_id(server.deployment)
        for half in range(HALVES):
            taken = await trips(side, prefect, sink, deployment, f"half-{half}")
            mailed += [trip.mailed for trip in taken]
            with servers.new_home() as home:
                env = environment(home, PREFECT_API_URL=server.api)
                noop = python("benchmarks.trigger.noop_flow", str(home))
                empty += json.loads(await run_to_end(noop, env))["batch"]
    return statistics.median(mailed), statistics.median(empty)
