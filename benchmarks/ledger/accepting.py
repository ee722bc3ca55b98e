"""Accepting: orders validated and made durable, 500 a transaction, by one process with two clients: one
validates while the database writes the orders of the other.

The clock covers the validation of the JSON line and the transaction; the lines are made beforehand.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from itertools import islice

from benchmarks.harness import sample_ledgers
from benchmarks.harness.figures import Bar, Measured
from benchmarks.harness.progress import say
from benchmarks.harness.sample_ledgers import BATCH
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger
from waypost.ledger.intake import accept

ROUNDS = 5
CLIENTS = 2
PER_ROUND = 10_000
ASKED = {"PostgreSQL": 10_000, "SQLite": 6_000}


async def measure() -> Measured:
    """The median of five rounds on each database."""
    rates: dict[str, list[float]] = {}
    for kind in sample_ledgers.KINDS:
        say(f"accepting on {kind}")
        async with sample_ledgers.empty(kind) as ledger:
            rates[kind] = await _rounds(ledger)
    print(f"orders accepted a second, {BATCH} a transaction, validation included, one process")
    for kind, found in rates.items():
        print(f"  {kind:<11} median {statistics.median(found):8.0f} /s   " + _range(found))
    return Measured(
        bars=[
            Bar(f"accept_{kind.lower()}_per_s", statistics.median(found), ">=", ASKED[kind])
            for kind, found in rates.items()
        ],
        figures=dict(rates),
    )


def _range(found: list[float]) -> str:
    return f"from {min(found):.0f} to {max(found):.0f}"


async def _rounds(ledger: Ledger) -> list[float]:
    source = sample_ledgers.lines()
    await sample_ledgers.fill(ledger, source, BATCH * 2)  # statements prepared, caches warm
    rates: list[float] = []
    for _ in range(ROUNDS):
        waiting = iter(list(islice(source, PER_ROUND)))
        began = time.perf_counter()
        await asyncio.gather(*(_client(ledger, waiting) for _ in range(CLIENTS)))
        rates.append(PER_ROUND / (time.perf_counter() - began))
    return rates


async def _client(ledger: Ledger, waiting: Iterator[bytes]) -> None:
    while requests := sample_ledgers.read(waiting, BATCH):
        await accept.accept(ledger, TYPE, requests)
