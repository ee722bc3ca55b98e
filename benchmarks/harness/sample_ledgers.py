"""Ledgers to measure: empty ones on both databases, and requests of real size to fill them with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from itertools import count, islice

import orjson

from benchmarks.harness import databases, sample_orders, servers
from benchmarks.harness.figures import NotMeasured
from waypost.config.settings import with_async_driver
from waypost.deployments.registry import find
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger, open_ledger
from waypost.ledger.intake import accept
from waypost.model.request import AnyRequest
from waypost.system.key_ring import KeyRing
from waypost.system.process import freeze_gc

IN_CLEAR = KeyRing()
KINDS = ("PostgreSQL", "SQLite")
BATCH = 500


@asynccontextmanager
async def empty(kind: str, ring: KeyRing = IN_CLEAR) -> AsyncGenerator[Ledger]:
    """A ledger of that kind with empty tables. ring: what it seals personal data with. Raises NotMeasured."""
    if kind == "SQLite":
        with servers.new_home() as home:
            async with opened(f"sqlite:///{home / 'ledger.db'}", ring) as ledger:
                yield ledger
    else:
        async with databases.fresh("ledger") as (url,), opened(url, ring) as ledger:
            yield ledger


@asynccontextmanager
async def opened(url: str, ring: KeyRing = IN_CLEAR) -> AsyncGenerator[Ledger]:
    """The ledger of a URL, with the present tables."""
    ledger = open_ledger(with_async_driver(url), ring=lambda: ring)
    try:
        await ledger.upgrade()
        freeze_gc()  # as every long-lived Waypost process does
        yield ledger
    finally:
        await ledger.close()


def lines(series: str = "buyer") -> Iterator[bytes]:
    """Endless orders, as the lines of a file, each with a recipient and a key of its own that no other
    series has."""
    rows = [orjson.loads(line) for line in sample_orders.source().read_bytes().splitlines()]
    for number in count():
        row = rows[number % len(rows)]
        person = f"{series}-{number}"
        yield orjson.dumps(
            {
                **row,
                "recipient": {**row["recipient"], "id": person, "email": f"{person}@northwind.example"},
                "idempotency_key": person,
            }
        )


async def fill(ledger: Ledger, source: Iterator[bytes], number: int) -> None:
    """Accept `number` orders."""
    while number > 0:
        requests = read(source, min(number, BATCH))
        await accept.accept(ledger, TYPE, requests)
        number -= len(requests)


def read(source: Iterator[bytes], number: int) -> list[AnyRequest]:
    """The next requests, validated; fewer at the end."""
    validate = find(TYPE.name).request.validate_json
    return [validate(line) for line in islice(source, number)]


def required(ledger: Ledger, found: object) -> None:
    """Raises NotMeasured when `found` is empty."""
    if not found:
        raise NotMeasured(f"nothing to claim on {'PostgreSQL' if ledger.is_postgres else 'SQLite'}")
