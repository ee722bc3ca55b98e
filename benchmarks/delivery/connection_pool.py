"""Prebuilt orders to one sink: through Waypost's pool, and through plain aiosmtplib clients.

The aiosmtplib side keeps as many clients open, each calling `sendmail` with one message after the other.
Both sides run on uvloop, over as many connections, with the same bytes to the same sink, in turns; the ratio
is the median of the rounds' ratios, because the machine's speed drifts. aiosmtplib on asyncio's default loop
is measured too. A sink that shares our cores slows the faster side: the processor time per message of each
side is printed too.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from time import perf_counter, process_time

from aiosmtplib import SMTP

from benchmarks.harness import sample_orders, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.progress import say
from benchmarks.harness.sinks import FastSink, fast
from waypost.channels.smtp.channel import SmtpChannel
from waypost.channels.smtp.url import parse
from waypost.model.notification import Message
from waypost.model.outcome import Verdict

CONNECTIONS = 16
ROUNDS = 5
REPEATS = 8  # 830 messages alone end too soon to be timed
SENDER = "no-reply@waypost.example"


@dataclass(frozen=True, slots=True)
class Pace:
    """Messages a second, and microseconds of this process's own time per message."""

    rate: float
    own: float


Side = Callable[[FastSink, Sequence[Message]], Awaitable[Pace]]


async def measure() -> Measured:
    """Five rounds of each side in turn."""
    with servers.new_home() as folder:
        messages = [one.messages["email"] for one in sample_orders.rendered(folder, sample_orders.COUNT)]
        async with fast(folder) as sink:
            if "smtp-sink" not in sink.name:
                raise NotMeasured("the pool needs a sink faster than itself: install postfix's smtp-sink")
            paces = await _rounds(sink, messages)
    size = statistics.mean(len(message.content) for message in messages)
    count = sample_orders.COUNT * REPEATS
    print(f"{count} prebuilt orders, {size:.0f} bytes on average, {CONNECTIONS} connections")
    print(f"  sink: {sink.name}; median of {ROUNDS} rounds in turns")
    for side, measured in paces.items():
        rate, own = (
            statistics.median(one.rate for one in measured),
            statistics.median(one.own for one in measured),
        )
        print(
            f"  {side:24} {rate:8.0f} /s   {own:6.0f} us of own time a message   {_ratio(paces, side):5.2f}"
        )
    figures = {side: [asdict(one) for one in measured] for side, measured in paces.items()}
    return Measured(
        [Bar("pool_ratio", _ratio(paces, "aiosmtplib, uvloop"), ">=", 3)], {"bytes": size, **figures}
    )


def _ratio(paces: dict[str, list[Pace]], side: str) -> float:
    """How many times as fast as `side` the pool was: the median of the rounds."""
    pairs = zip(paces["Waypost's pool, uvloop"], paces[side], strict=True)
    return statistics.median(ours.rate / other.rate for ours, other in pairs)


async def _rounds(sink: FastSink, messages: Sequence[Message]) -> dict[str, list[Pace]]:
    sides: dict[str, Side] = {
        "Waypost's pool, uvloop": _pool,
        "aiosmtplib, uvloop": _aiosmtplib,
        "aiosmtplib, asyncio": _on_asyncio,
    }
    paces: dict[str, list[Pace]] = {side: [] for side in sides}
    for number in range(ROUNDS + 1):
        for name, side in sides.items():
            pace = await side(sink, messages)
            if number:  # the first warms up
                paces[name].append(pace)
                say(f"{name:24} {pace.rate:8.0f}/s")
    return paces


async def _pool(sink: FastSink, messages: Sequence[Message]) -> Pace:
    channel = SmtpChannel("smtp", parse(sink.url(CONNECTIONS)), SENDER)

    async def slot(waiting: Sequence[Message]) -> None:
        for message in waiting:
            outcome = await channel.send(message)
            if outcome.verdict is not Verdict.ACCEPTED:
                raise NotMeasured(f"the sink did not take a message: {outcome}")

    pace = await _timed(slot, messages)
    await channel.close()
    return pace


async def _aiosmtplib(sink: FastSink, messages: Sequence[Message]) -> Pace:
    async def slot(waiting: Sequence[Message]) -> None:
        client = SMTP(hostname=sink.host, port=sink.port, use_tls=False, start_tls=False)
        await client.connect()
        for message in waiting:
            await client.sendmail(SENDER, [message.address], message.content)
        await client.quit()

    return await _timed(slot, messages)


async def _on_asyncio(sink: FastSink, messages: Sequence[Message]) -> Pace:
    """Run `_aiosmtplib` on asyncio's default loop, in a thread, while this loop waits."""
    done: Future[Pace] = Future()

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            done.set_result(runner.run(_aiosmtplib(sink, messages)))

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)


async def _timed(slot: Callable[[Sequence[Message]], Awaitable[None]], messages: Sequence[Message]) -> Pace:
    """Let each connection send its share, one message after the other."""
    repeated = list(messages) * REPEATS
    began, own = perf_counter(), process_time()
    await asyncio.gather(*(slot(repeated[number::CONNECTIONS]) for number in range(CONNECTIONS)))
    seconds, own = perf_counter() - began, process_time() - own
    return Pace(len(repeated) / seconds, own / len(repeated) * 1e6)
