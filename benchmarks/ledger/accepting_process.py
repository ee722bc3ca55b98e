"""A process that accepts one order at a time, with the gateway's patience: `LEDGER_URL SECONDS`.

Prints JSON: how many orders were accepted and refused, and the milliseconds of the slowest.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from sqlalchemy.exc import OperationalError

from benchmarks.harness import sample_ledgers
from waypost.deployments.processes.gateway import PATIENCE
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import open_ledger
from waypost.ledger.intake import accept


async def main(url: str, seconds: float) -> None:
    """Accept orders until `seconds` have passed."""
    ledger = open_ledger(url, patience=PATIENCE)
    source = sample_ledgers.lines("beside")
    accepted = refused = 0
    slowest, ends = 0.0, time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        try:
            await accept.accept(ledger, TYPE, sample_ledgers.read(source, 1))
            accepted += 1
        except OperationalError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - began)
    await ledger.close()
    print(json.dumps({"accepted": accepted, "refused": refused, "slowest_ms": slowest * 1000}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
