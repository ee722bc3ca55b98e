"""One run over one large batch: `python -m benchmarks.delivery.end_to_end_run SERIES ORDERS`.

Its settings are in the environment.
Prints the seconds from the flow's call to its report, including all work on the ledger and in Prefect.
"""

from __future__ import annotations

import sys
import time
from uuid import UUID

import uvloop

from benchmarks.harness import sample_ledgers, sample_orders
from waypost.config.settings import Settings
from waypost.delivery.runtime import Runtime
from waypost.flows.order_confirmation import TYPE, order_confirmation
from waypost.ledger import ledger_of
from waypost.ledger.queue import claims
from waypost.system.process import freeze_gc


async def main() -> None:
    """Run a batch that warms up the templates and connections, then the large one."""
    settings, orders = Settings(), int(sys.argv[2])
    ledger = ledger_of(settings)
    await ledger.upgrade()
    await ledger.close()
    async with Runtime.open(settings) as runtime:
        await order_confirmation(batch=await _batch(runtime, "warm-up", sample_orders.COUNT))
        batch = await _batch(runtime, "road", orders)
        freeze_gc()
        began = time.perf_counter()
        report = await order_confirmation(batch=batch)
        seconds = time.perf_counter() - began
    if report.states != {"sent": orders}:
        sys.exit(f"not all were sent: {report.states}")
    print(seconds)


async def _batch(runtime: Runtime, name: str, number: int) -> UUID:
    """Accept `number` orders and claim them as one batch."""
    await sample_ledgers.fill(runtime.ledger, sample_ledgers.lines(f"{name}-{sys.argv[1]}"), number)
    claim = await claims.reserve(runtime.ledger, TYPE.name, TYPE.lane, limit=number)
    sample_ledgers.required(runtime.ledger, claim)
    assert claim is not None
    return claim.id


if __name__ == "__main__":
    uvloop.run(main())
