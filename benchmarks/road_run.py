"""One run over one large batch: `python -m benchmarks.road_run SERIES ORDERS`, settings in the environment.

Prints the seconds from the flow's call to its report, everything it does to the ledger and Prefect included.
"""

from __future__ import annotations

import sys
import time
from uuid import UUID

import uvloop

from benchmarks import ledgers, samples
from flows.order_confirmation import TYPE, order_confirmation
from waypost.ledger import claims, open_ledger
from waypost.process import settle_in
from waypost.runtime import Runtime
from waypost.settings import Settings


async def main() -> None:
    """A batch that warms up the templates and connections, then the large one."""
    settings, orders = Settings(), int(sys.argv[2])
    ledger = open_ledger(settings.ledger_url)
    await ledger.upgrade()
    await ledger.close()
    async with Runtime.open(settings) as runtime:
        await order_confirmation(batch=await _batch(runtime, "warm-up", samples.COUNT))
        batch = await _batch(runtime, "road", orders)
        settle_in()
        began = time.perf_counter()
        report = await order_confirmation(batch=batch)
        seconds = time.perf_counter() - began
    if report.states != {"sent": orders}:
        sys.exit(f"not all were sent: {report.states}")
    print(seconds)


async def _batch(runtime: Runtime, name: str, number: int) -> UUID:
    """That many orders accepted and claimed as one."""
    await ledgers.fill(runtime.ledger, ledgers.lines(f"{name}-{sys.argv[1]}"), number)
    claim = await claims.reserve(runtime.ledger, TYPE.name, TYPE.lane, limit=number)
    ledgers.required(runtime.ledger, claim)
    assert claim is not None
    return claim.id


if __name__ == "__main__":
    uvloop.run(main())
