"""Twenty posts a second through the gateway, from POST to the SMTP server's 250, everything on this machine.

The clock of each runs from before its POST until the sink has read the end of DATA. For comparison,
Prefect's own `flow.serve()` gets a run per notification, one after the other: it never reaches twenty a
second.
"""

from __future__ import annotations

import statistics

import httpx

from benchmarks.harness import gateways, sample_orders, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.gateways import Door
from benchmarks.harness.progress import say
from benchmarks.harness.sinks import arrivals
from benchmarks.ledger.steady_load import RATE, SECONDS, told, trips
from benchmarks.trigger import latency


async def measure() -> Measured:
    """Both databases, then the stock side."""
    bars: list[Bar] = []
    figures: dict[str, list[float]] = {}
    for kind, opened in servers.BY_DATABASE.items():
        say(f"journey: {RATE:g} posts a second for {SECONDS:g} s, {kind}")
        async with (
            arrivals() as sink,
            opened(sink.url) as server,
            gateways.BY_DATABASE[kind](server) as door,
            _client(door) as client,
        ):
            seconds = sorted(await trips(lambda address, client=client: _post(client, address), sink))
        bars += told("journey", f"POST to 250, {RATE:g} a second, {kind}", kind, seconds)
        figures[kind] = seconds
    figures["stock"] = await _stock(figures["SQLite"])
    return Measured(bars=bars, figures=figures)


async def _stock(ours: list[float]) -> list[float]:
    trips = [trip.mailed for trip in await latency.measure_side(latency.STOCK)]
    median = statistics.median(trips)
    print(f"stock flow.serve(), a run each, one after the other: median {median:.3f} s", end="")
    print(f"   {median / statistics.median(ours):.0f} times as long")
    return trips


async def _post(client: httpx.AsyncClient, address: str) -> None:
    order = sample_orders.to_somebody_new(address)
    key = order.pop("idempotency_key")
    body = {"type": "order-confirmation", **order}
    answer = await client.post("/v1/notifications", json=body, headers={"idempotency-key": key})
    if answer.status_code != 202:
        raise NotMeasured(f"a post was answered {answer.status_code}: {answer.text}")


def _client(door: Door) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {door.key}"}
    return httpx.AsyncClient(base_url=door.url, headers=headers, timeout=30)
