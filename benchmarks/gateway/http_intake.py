"""Durable intake over HTTP: one gateway process, its clients in another on the same machine.

For every order the gateway checks the key, validates the data, and responds once the order is durable.
Single posts have an Idempotency-Key each. Clients speak HTTP/1.1 over kept connections, with requests
prepared beforehand: the clients' cost is not the gateway's. BENCH_BEFORE names an earlier checkout, whose
gateway takes the same load in turns.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.harness import databases, gateways
from benchmarks.harness.checkouts import BEFORE, HERE, KEPT, checkouts, in_turn
from benchmarks.harness.figures import Bar, Measured, NotMeasured, median_ratio
from benchmarks.harness.gateways import Door
from benchmarks.harness.processes import python, run_to_end
from benchmarks.harness.progress import say
from benchmarks.harness.sample_ledgers import KINDS

CLIENTS = 32
FEW = 4
SECONDS = 10
BATCH = 500
BATCH_CLIENTS = 4
LOADS = {"singles": (CLIENTS, 1), "few": (FEW, 1), "batch": (BATCH_CLIENTS, BATCH)}
ROUNDS = 3  # beside an earlier checkout, in turns; this checkout alone is measured once

Rounds = list[dict[str, dict[str, float]]]  # by load


async def measure() -> Measured:
    """Both databases; the bars without an earlier checkout are PostgreSQL's."""
    figures: dict[str, dict[str, Rounds]] = {}
    compared: list[Bar] = []
    for name in KINDS:
        figures[name] = await _on(name)
        _tell(name, figures[name])
        compared += _beside_before(name, figures[name])
    here = figures["PostgreSQL"][HERE]
    return Measured(
        bars=[
            Bar("gateway_posts_per_s", _median(here, "singles", "per_s"), ">=", 3000),
            Bar("gateway_posts_p99_ms", _median(here, "singles", "p99_ms"), "<", 50),
            Bar("gateway_batch_per_s", _median(here, "batch", "per_s"), ">=", 10000),
            *compared,
        ],
        figures=dict(figures),
    )


async def _on(database: str) -> dict[str, Rounds]:
    """The rounds of each checkout's gateway, all gateways on the same kind of database."""
    compared = checkouts()
    async with AsyncExitStack() as stack:
        doors = {
            side: await stack.enter_async_context(_gateway(database, folder))
            for side, folder in compared.items()
        }
        rounds: dict[str, Rounds] = {side: [] for side in doors}
        for number in range(ROUNDS if BEFORE in doors else 1):
            turns = in_turn(doors, number)
            found: dict[str, dict[str, dict[str, float]]] = {side: {} for side in doors}
            for name, (clients, items) in LOADS.items():
                for side in turns:
                    say(f"{database}, {side}: {clients} clients, {items} a post, {SECONDS} s")
                    found[side][name] = await load(doors[side], clients, items)
            for side in doors:
                rounds[side].append(found[side])
    return rounds


@asynccontextmanager
async def _gateway(database: str, folder: Path) -> AsyncGenerator[Door]:
    async with AsyncExitStack() as stack:
        url = ""
        if database == "PostgreSQL":
            [url] = await stack.enter_async_context(databases.fresh("gateway"))
        yield await stack.enter_async_context(gateways.alone(url, folder))


def _tell(database: str, rounds: dict[str, Rounds]) -> None:
    for side, found in rounds.items():
        for name, (clients, items) in LOADS.items():
            posts = f"batches of {items}" if items > 1 else "single posts"
            per_s, p50, p99 = (_median(found, name, figure) for figure in ("per_s", "p50_ms", "p99_ms"))
            print(
                f"{database:12} {side:14} {f'{posts}, {clients} clients':27}"
                f" {per_s:7.0f} notifications/s   p50 {p50:6.1f} ms   p99 {p99:6.1f} ms"
            )


def _beside_before(database: str, rounds: dict[str, Rounds]) -> list[Bar]:
    """The rates as shares of the earlier checkout's: medians of the rounds' ratios."""
    if BEFORE not in rounds:
        return []
    shares = {
        name: median_ratio(*([one[name]["per_s"] for one in rounds[side]] for side in (HERE, BEFORE)))
        for name in LOADS
    }
    return [
        Bar(f"gateway_{name}_{database.lower()}_beside_before", share, ">=", KEPT)
        for name, share in shares.items()
    ]


def _median(rounds: Rounds, load: str, figure: str) -> float:
    return statistics.median(one[load][figure] for one in rounds)


async def load(door: Door, clients: int, items: int) -> dict[str, float]:
    """Let `clients` post for SECONDS. Raises NotMeasured when a post is not accepted."""
    arguments = [str(door.port), str(clients), str(items), str(SECONDS)]
    out = await run_to_end(python("benchmarks.gateway.http_clients", *arguments), {"WAYPOST_KEY": door.key})
    found = json.loads(out)
    if found["refused"]:
        raise NotMeasured(f"{found['refused']} posts were not accepted: {found['said']}")
    return found
