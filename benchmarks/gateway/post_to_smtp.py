"""Twenty posts a second through the gateway, from POST to the SMTP server's 250, everything on this machine.

The clock of each runs from before its POST until the sink has read the end of DATA. For comparison,
Prefect's own `flow.serve()` gets a run per notification, one after the other: it never reaches twenty a
second.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager

import httpx

from benchmarks.harness import sample_orders, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.processes import answering, environment, free_port, python, run_to_end, running, until
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import arrivals
from benchmarks.ledger.steady_load import RATE, SECONDS, told, trips
from benchmarks.trigger import latency
from waypost.config import instance

Doors = Callable[[Running], AbstractAsyncContextManager[httpx.AsyncClient]]


async def measure() -> Measured:
    """Both databases, then the stock side."""
    bars: list[Bar] = []
    figures: dict[str, list[float]] = {}
    for kind, door in (("SQLite", of_up), ("PostgreSQL", beside)):
        say(f"journey: {RATE:g} posts a second for {SECONDS:g} s, {kind}")
        async with arrivals() as sink, servers.BY_DATABASE[kind](sink.url) as server, door(server) as client:
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


@asynccontextmanager
async def of_up(server: Running) -> AsyncGenerator[httpx.AsyncClient]:
    """The gateway that `waypost up` runs itself."""
    here = instance.find(server.home)
    assert here is not None
    assert here.gateway is not None
    async with _client(here.gateway, await _key(environment(server.home))) as client:
        yield client


@asynccontextmanager
async def beside(server: Running) -> AsyncGenerator[httpx.AsyncClient]:
    """`waypost gateway` beside a worker."""
    env = environment(server.home, PREFECT_API_URL=server.api, WAYPOST_DATABASE_URL=server.ledger_url)
    key, port, log = await _key(env), free_port(), server.home / "gateway.log"
    with ExitStack() as stack:
        process = stack.enter_context(running(python("waypost", "gateway", "--port", str(port)), env, log))
        url = f"http://127.0.0.1:{port}"
        async with answering(f"{url}/healthz") as answers:
            await until(answers, process, "the gateway", log)
        async with _client(url, key) as client:
            yield client


def _client(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30)


async def _key(env: dict[str, str]) -> str:
    return json.loads(await run_to_end(python("waypost", "keys", "create", "bench", "--json"), env))["key"]
