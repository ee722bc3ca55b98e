"""Durable intake over HTTP: one gateway process, its clients in another on the same machine.

For every order the gateway checks the key, validates the data, and responds once the order is durable.
Single posts have an Idempotency-Key each. Clients speak HTTP/1.1 over kept connections, with requests
prepared beforehand: the clients' cost is not the gateway's.
"""

from __future__ import annotations

import json

from benchmarks.harness import databases, gateways
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.gateways import Door
from benchmarks.harness.processes import python, run_to_end
from benchmarks.harness.progress import say

CLIENTS = 32
FEW = 4
SECONDS = 10
BATCH = 500
BATCH_CLIENTS = 4


async def measure() -> Measured:
    """Both databases; the bars are PostgreSQL's."""
    figures: dict[str, object] = {}
    async with databases.fresh("gateway") as (postgres,):
        for name, url in (("PostgreSQL", postgres), ("SQLite", "")):
            say(f"gateway on {name}: starting it")
            async with gateways.alone(url) as door:
                figures[name] = {
                    "singles": await load(door, CLIENTS, 1),
                    "few": await load(door, FEW, 1),
                    "batch": await load(door, BATCH_CLIENTS, BATCH),
                }
            _tell(name, figures[name])
    found = figures["PostgreSQL"]
    return Measured(
        bars=[
            Bar("gateway_posts_per_s", found["singles"]["per_s"], ">=", 3000),
            Bar("gateway_posts_p99_ms", found["singles"]["p99_ms"], "<", 50),
            Bar("gateway_batch_per_s", found["batch"]["per_s"], ">=", 10000),
        ],
        figures=figures,
    )


def _tell(name: str, found: dict[str, dict[str, float]]) -> None:
    for what, clients in (("singles", CLIENTS), ("few", FEW), ("batch", BATCH_CLIENTS)):
        one = found[what]
        posts = f"batches of {BATCH}" if what == "batch" else "single posts"
        how = f"{posts}, {clients} clients"
        print(
            f"{name:12} {how:32} {one['per_s']:7.0f} notifications/s   p50 {one['p50_ms']:6.1f} ms"
            f"   p99 {one['p99_ms']:6.1f} ms"
        )


async def load(door: Door, clients: int, items: int) -> dict[str, float]:
    """Let `clients` post for SECONDS. Raises NotMeasured when a post is not accepted."""
    say(f"{clients} clients, {items} a post, {SECONDS} s")
    arguments = [str(door.port), str(clients), str(items), str(SECONDS)]
    out = await run_to_end(python("benchmarks.gateway.http_clients", *arguments), {"WAYPOST_KEY": door.key})
    found = json.loads(out)
    if found["refused"]:
        raise NotMeasured(f"{found['refused']} posts were not accepted: {found['said']}")
    return found
