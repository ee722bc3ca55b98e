"""Prebuilt orders to one sink: through Waypost's pool, and through aiosmtplib as it comes.

aiosmtplib as it comes: as many of its clients kept open, each calling `sendmail` with one message after
the other. Both sides run on the same event loop, uvloop, over as many connections, with the same bytes to
the same sink, in turns; the ratio is that of the medians. aiosmtplib on asyncio's own loop, which is what
a program has that does nothing about it, is measured beside it.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from time import perf_counter

from aiosmtplib import SMTP

from benchmarks import samples, servers
from benchmarks.figures import Bar, Measured, NotMeasured
from benchmarks.progress import say
from benchmarks.sinks import FastSink, fast
from waypost.channels.smtp import SmtpChannel
from waypost.channels.smtp_url import parse
from waypost.notification import Message
from waypost.outcome import Verdict

CONNECTIONS = 16
ROUNDS = 5
REPEATS = 8  # 830 messages alone are over too soon to be timed
SENDER = "no-reply@waypost.example"

Side = Callable[[FastSink, Sequence[Message]], Awaitable[float]]


async def measure() -> Measured:
    """Five rounds of each side in turn."""
    with servers.new_home() as folder:
        messages = [one.messages["email"] for one in samples.rendered(folder, samples.COUNT)]
        async with fast(folder) as sink:
            if "smtp-sink" not in sink.name:
                raise NotMeasured("the pool needs a sink faster than itself: install postfix's smtp-sink")
            rates = await _rounds(sink, messages)
    ours, stock, on_asyncio = (statistics.median(rates[side]) for side in rates)
    size = statistics.mean(len(message.content) for message in messages)
    print(
        f"{samples.COUNT * REPEATS} prebuilt orders, {size:.0f} bytes on average, {CONNECTIONS} connections"
    )
    print(f"  sink: {sink.name}; median of {ROUNDS} rounds in turns")
    print(f"  Waypost's pool, uvloop     {ours:8.0f} /s")
    print(f"  aiosmtplib, uvloop         {stock:8.0f} /s   pool / aiosmtplib {ours / stock:.2f}")
    print(f"  aiosmtplib, asyncio        {on_asyncio:8.0f} /s   pool / aiosmtplib {ours / on_asyncio:.2f}")
    figures = {side: [round(rate) for rate in measured] for side, measured in rates.items()}
    return Measured([Bar("pool_ratio", ours / stock, ">=", 3)], {"bytes": size, **figures})


async def _rounds(sink: FastSink, messages: Sequence[Message]) -> dict[str, list[float]]:
    sides: dict[str, Side] = {"pool": _pool, "aiosmtplib": _aiosmtplib, "aiosmtplib_asyncio": _on_asyncio}
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(ROUNDS + 1):
        for name, side in sides.items():
            rate = await side(sink, messages)
            if number:  # the first warms up
                rates[name].append(rate)
                say(f"{name:20} {rate:8.0f}/s")
    return rates


async def _pool(sink: FastSink, messages: Sequence[Message]) -> float:
    channel = SmtpChannel("smtp", parse(sink.url(CONNECTIONS)), SENDER)

    async def slot(waiting: Sequence[Message]) -> None:
        for message in waiting:
            outcome = await channel.send(message)
            if outcome.verdict is not Verdict.ACCEPTED:
                raise NotMeasured(f"the sink did not take a message: {outcome}")

    rate = await _timed(slot, messages)
    await channel.close()
    return rate


async def _aiosmtplib(sink: FastSink, messages: Sequence[Message]) -> float:
    async def slot(waiting: Sequence[Message]) -> None:
        client = SMTP(hostname=sink.host, port=sink.port, use_tls=False, start_tls=False)
        await client.connect()
        for message in waiting:
            await client.sendmail(SENDER, [message.address], message.content)
        await client.quit()

    return await _timed(slot, messages)


async def _on_asyncio(sink: FastSink, messages: Sequence[Message]) -> float:
    """The same in a loop of asyncio's own, in a thread while this one waits."""
    done: Future[float] = Future()

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            done.set_result(runner.run(_aiosmtplib(sink, messages)))

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)


async def _timed(slot: Callable[[Sequence[Message]], Awaitable[None]], messages: Sequence[Message]) -> float:
    """Messages a second, each connection taking its share, one after the other."""
    repeated = list(messages) * REPEATS
    began = perf_counter()
    await asyncio.gather(*(slot(repeated[number::CONNECTIONS]) for number in range(CONNECTIONS)))
    return len(repeated) / (perf_counter() - began)
