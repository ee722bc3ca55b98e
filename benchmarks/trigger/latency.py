"""From a trigger through the Prefect API to the mail at the SMTP server, with no other work.

A trigger is one order confirmation, its order inline in the run's parameters. The clock runs from
before the request to the API until the sink has read the end of DATA. The next trigger waits for the
run to end, and then for a random while, so that triggers meet every phase of a poll.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass

from benchmarks.harness import sample_orders, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured, Spread
from benchmarks.harness.prefect_api import PrefectApi
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import Arrivals, arrivals

TRIGGERS = 20
STOCK_TRIGGERS = 15
PATIENCE = 60.0

Server = Callable[[str], AbstractAsyncContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Trip:
    """Seconds from the trigger until the flow ran, the mail was taken, and the run had ended."""

    started: float
    mailed: float
    ended: float


@dataclass(frozen=True, slots=True)
class Side:
    """One way to run the flow. poll: the seconds between two polls for work, over which the waits
    between triggers are spread."""

    name: str
    server: Server
    triggers: int
    poll: float


EMBEDDED = Side("resident, embedded default", servers.embedded, TRIGGERS, 0.15)
POSTGRES = Side("resident, PostgreSQL", servers.on_postgres, TRIGGERS, 0.15)
STOCK = Side("stock flow.serve()", servers.stock, STOCK_TRIGGERS, 10.0)


async def measure() -> Measured:
    """Measure the three sides one after the other; the bars are medians."""
    found: dict[str, list[Trip]] = {}
    for side in (EMBEDDED, POSTGRES, STOCK):
        try:
            found[side.name] = await measure_side(side)
        except NotMeasured as error:
            print(f"{side.name}: not measured: {error}")
            found[side.name] = []
    _tell(found)
    embedded, postgres, stock = (_median(found[side.name]) for side in (EMBEDDED, POSTGRES, STOCK))
    print(f"stock / resident on the embedded default: {stock / embedded:.1f}")
    return Measured(
        bars=[
            Bar("trigger_speedup", stock / embedded, ">=", 20),
            Bar("trigger_median_embedded_s", embedded, "<", 0.5),
            Bar("trigger_median_postgres_s", postgres, "<", 0.5),
        ],
        figures={name: [asdict(trip) for trip in series] for name, series in found.items()},
    )


async def measure_side(side: Side) -> list[Trip]:
    say(f"latency, {side.name}: starting it")
    async with arrivals() as sink, side.server(sink.url) as server, PrefectApi(server.api) as prefect:
        try:
            return await trips(side, prefect, sink, await prefect.deployment_id(server.deployment))
        except NotMeasured as error:
            raise NotMeasured(f"{error}; its log ends with:\n{server.last_words}") from None


async def trips(
    side: Side, prefect: PrefectApi, sink: Arrivals, deployment: str, series: str = "trigger"
) -> list[Trip]:
    """The triggers of a side, one after the other. series: a word that no earlier triggers there have."""
    cold = await _trip(prefect, sink, deployment, f"{series}-first")
    say(f"the first, which compiles the templates: {cold.mailed:.2f} s; not counted")
    made: list[Trip] = []
    for number, wait in enumerate(_waits(side)):
        await asyncio.sleep(wait)
        made.append(await _trip(prefect, sink, deployment, f"{series}-{number}"))
        say(f"{number + 1:3}/{side.triggers}  {made[-1].mailed:.3f} s")
    return made


def _waits(side: Side) -> list[float]:
    """More than a second each, spread evenly over a poll (at least a second), in random order."""
    span = max(side.poll, 1.0)
    waits = [1.0 + span * (number + random.random()) / side.triggers for number in range(side.triggers)]
    random.shuffle(waits)
    return waits


async def _trip(prefect: PrefectApi, sink: Arrivals, deployment: str, name: str) -> Trip:
    address = f"{name}@waypost-bench.example"
    request = sample_orders.to_somebody_new(address)
    triggered = time.time()
    id = await prefect.trigger(deployment, request)
    taken = await sink.taken_at(address, PATIENCE)
    (run,) = await prefect.ended([id])
    if run.started is None or run.ended is None or run.state != "COMPLETED":
        raise NotMeasured(f"the run of {name} ended {run.state}")
    return Trip(run.started - triggered, taken - triggered, run.ended - triggered)


def _median(trips: list[Trip]) -> float:
    return statistics.median(trip.mailed for trip in trips) if trips else float("nan")


def _tell(trips: dict[str, list[Trip]]) -> None:
    print("trigger to mail, one order, idle (stock on the same tuned server: only the runner differs)")
    for name, series in trips.items():
        if series:
            started = statistics.median(trip.started for trip in series)
            ended = statistics.median(trip.ended for trip in series)
            spread = Spread.of([trip.mailed for trip in series])
            print(f"  {name:<27} {spread}  flow began {started:.3f}, run ended {ended:.3f}")
