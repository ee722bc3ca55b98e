"""Time 830 orders, sent as `waypost send` does, beside the bare wire.

Whole road: the runs of the embedded default's worker render, send and record orders accepted into the
ledger; the rate is orders divided by the time of the runs, as Prefect recorded it. Bare wire: the same
messages, rendered beforehand, through the same class of connection pool with as many connections to
the same sink, on uvloop too, with no ledger and no Prefect. Each round measures both.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import orjson

from benchmarks.harness import sample_orders, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.prefect_api import PrefectApi, Run
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import fast
from waypost.channels.smtp.channel import SmtpChannel
from waypost.channels.smtp.url import parse
from waypost.deployments import file_send
from waypost.deployments.file_send import FileSend
from waypost.deployments.registry import find
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger
from waypost.model.notification import Message
from waypost.model.outcome import Verdict
from waypost.model.states import State

CONNECTIONS = 32
ROUNDS = 3
PREBUILT_REPEATS = 5  # 830 messages alone end too soon to be timed
SETTLES_WITHIN = 120.0


@dataclass(frozen=True, slots=True)
class Round:
    """Messages a second: inside the runs, from the first request accepted to the last outcome, and
    over the bare wire."""

    inside: float
    overall: float
    wire: float


async def measure() -> Measured:
    """Three rounds; the bar is the median."""
    with servers.new_home() as folder:
        async with fast(folder) as sink:
            url = sink.url(CONNECTIONS)
            say(f"orders: starting the embedded default; sink: {sink.name}")
            messages = [one.messages["email"] for one in sample_orders.rendered(folder, sample_orders.COUNT)]
            async with servers.embedded(url) as server:
                rounds = [_said(await _round(server, url, messages, name)) for name in _rounds()]
    inside = statistics.median(one.inside for one in rounds)
    overall = statistics.median(one.overall for one in rounds)
    wire = statistics.median(one.wire for one in rounds)
    size = statistics.mean(len(message.content) for message in messages)
    source = sample_orders.source().name
    print(f"{sample_orders.COUNT} orders of {source}, {size:.0f} bytes a mail on average")
    print(f"  sink: {sink.name}; {CONNECTIONS} connections; median of {ROUNDS} rounds")
    print(f"  whole road, inside the runs     {inside:8.0f} /s")
    print(f"  whole road, submit to settled   {overall:8.0f} /s")
    print(f"  bare wire, prebuilt messages    {wire:8.0f} /s   bare wire / whole road {wire / inside:.1f}")
    return Measured(
        bars=[Bar("orders_per_s", inside, ">=", 600)],
        figures={"sink": sink.name, "rounds": [asdict(one) for one in rounds]},
    )


def _rounds() -> Iterator[str]:
    return (f"round-{number}" for number in range(1, ROUNDS + 1))


def _said(one: Round) -> Round:
    say(f"{one.inside:6.0f}/s inside the runs   {one.overall:6.0f}/s overall   {one.wire:6.0f}/s bare wire")
    return one


async def _round(server: Running, url: str, messages: Sequence[Message], name: str) -> Round:
    ledger = server.ledger()
    try:
        await _send(server, ledger, sample_orders.one_per_language(f"{name}-first"))
        began = time.monotonic()
        sent = await _send(server, ledger, list(sample_orders.requests(name)))
        overall = time.monotonic() - began
    finally:
        await ledger.close()
    if sent.states[State.SENT] != sample_orders.COUNT:
        raise NotMeasured(f"of {sample_orders.COUNT} orders: {dict(sent.states)} {sent.reasons}")
    async with PrefectApi(server.api) as prefect:
        inside = _covered(await prefect.ended(sent.runs))
    wire = await _over_the_wire(url, messages)
    return Round(sample_orders.COUNT / inside, sample_orders.COUNT / overall, wire)


async def _send(server: Running, ledger: Ledger, requests: Sequence[dict[str, object]]) -> FileSend:
    lines = [orjson.dumps(request) for request in requests]
    async with asyncio.timeout(SETTLES_WITHIN):
        sent = await file_send.submit(ledger, find(TYPE.name), lines)
        async for _ in file_send.watch(ledger, sent, "waypost", every=0.1):
            pass
    return sent


def _covered(runs: Sequence[Run]) -> float:
    """The seconds during which at least one run was in progress."""
    seconds = until = 0.0
    for began, ended in sorted((run.started or 0.0, run.ended or 0.0) for run in runs):
        seconds += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return seconds


async def _over_the_wire(url: str, messages: Sequence[Message]) -> float:
    """Messages a second through the channel alone; each slot sends one message after the other."""
    channel = SmtpChannel("smtp", parse(url), "no-reply@waypost.example")
    waiting = iter(list(messages) * PREBUILT_REPEATS)

    async def slot() -> None:
        for message in waiting:
            outcome = await channel.send(message)
            if outcome.verdict is not Verdict.ACCEPTED:
                raise NotMeasured(f"the sink did not take a message: {outcome}")

    began = time.perf_counter()
    await asyncio.gather(*(slot() for _ in range(channel.permits.most)))
    seconds = time.perf_counter() - began
    await channel.close()
    return len(messages) * PREBUILT_REPEATS / seconds
