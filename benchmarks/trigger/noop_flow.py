"""What Prefect alone costs a run: `python -m benchmarks.trigger.noop_flow HOME`, with PREFECT_API_URL set.

A flow of five tasks that only hand on 500 rendered orders, once in the Batch that our tasks pass and
once in a plain list. Prints the seconds of each run as JSON, without the warm-up.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from uuid_utils.compat import uuid7

from benchmarks.harness import sample_orders
from waypost import Batch
from waypost.flows.order_confirmation import TYPE

SIZE = 500
RUNS = 5


@task(cache_policy=NO_CACHE)
async def hand_on(value: Any) -> Any:
    """Return `value`."""
    return value


async def main() -> None:
    """Measure the two sides in turn, so that both meet the same load on the machine."""
    orders = sample_orders.rendered(Path(sys.argv[1]), SIZE)
    carriers = {"batch": Batch(TYPE, uuid7(), orders), "list": orders}
    seconds: dict[str, list[float]] = {name: [] for name in carriers}
    for _ in range(1 + RUNS):
        for name, carrier in carriers.items():
            seconds[name].append(await _timed(carrier))
    print(json.dumps({name: series[1:] for name, series in seconds.items()}))


async def _timed(carrier: Any) -> float:
    @flow
    async def five_steps() -> None:
        value = carrier
        for _ in range(5):
            value = await hand_on(value)

    began = time.perf_counter()
    await five_steps()
    return time.perf_counter() - began


if __name__ == "__main__":
    uvloop.run(main())
