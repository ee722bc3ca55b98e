"""From the first post to the last mail: Waypost on both databases, and the peers, in turns.

Each side is started, sends every order of the sample once, and is timed from just before a client process
posts or enqueues the first of the orders until smtp-sink has taken the last mail. Orders come in batches of
500. Waypost gets facts and renders them; each peer gets finished texts, and in a second row renders too. All
sides have 64 connections, except Celery and post_office, which more made no faster. A side counts only if
it has recorded every mail as sent soon after the last. The ratio is the median of the rounds' ratios.

BENCH_ORDERS and BENCH_ROUNDS set other numbers than 3,000 orders and three rounds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence

from benchmarks.harness import servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured, median_ratio
from benchmarks.harness.progress import say
from benchmarks.harness.sinks import CountingSink, counting
from benchmarks.peers import peer_sides, samples, waypost_sides
from benchmarks.peers.peer_sides import BULLMQ, CELERY, POST_OFFICE, PROCRASTINATE
from benchmarks.peers.sides import Opened, Side

ORDERS = 3000
ROUNDS = 3
WARM_UP = 830  # every order once: Node takes several hundred to compile
REST = 5.0  # seconds after it: the first flood makes some sides start processes
STALLED = 60.0  # seconds without a mail
RECORDED_WITHIN = 15.0
ASKED = {BULLMQ.name: 1.5, POST_OFFICE.name: 2, CELERY.name: 4, PROCRASTINATE.name: 4}


async def measure() -> Measured:
    """Rounds of all sides in turn."""
    orders = int(os.environ.get("BENCH_ORDERS", ORDERS))
    rounds = int(os.environ.get("BENCH_ROUNDS", ROUNDS))
    with servers.new_home() as home:
        ours, theirs = waypost_sides.sides(), await peer_sides.sides(samples.written(home))
        rates: dict[str, list[float]] = {side.name: [] for side in (*ours, *theirs)}
        async with counting(home) as sink:
            for _ in range(rounds):
                for side in (*ours, *theirs):
                    rates[side.name].append(orders / await seconds(side, sink, orders))
                    say(f"{side.name:26} {rates[side.name][-1]:6.0f}/s")
    print(f"{orders} orders from the first post to the last mail; median of {rounds} rounds in turns")
    print(f"  {'':26} {'a second':>8}   {'  '.join(f'{side.name:>20}' for side in ours)}")
    for side in (*ours, *theirs):
        ratios = "  ".join(f"{median_ratio(rates[one.name], rates[side.name]):18.2f} x" for one in ours)
        print(f"  {side.name:26} {statistics.median(rates[side.name]):8.0f}   {ratios}")
        print(f"  {'':26} accepted: {side.accepted}; sent: {side.sent}")
    return Measured(_bars(ours, rates), {"a second": rates})


def _bars(ours: Sequence[Side], rates: dict[str, list[float]]) -> list[Bar]:
    return [
        Bar(
            f"peers_{_word(side.name)}_{_word(peer)}_ratio",
            median_ratio(rates[side.name], rates[peer]),
            ">=",
            asked,
        )
        for side in ours
        for peer, asked in ASKED.items()
    ]


def _word(name: str) -> str:
    """The last word of a side's name, for names of bars."""
    return name.split()[-1].lower()


async def seconds(
    side: Side, sink: CountingSink, orders: int, warm_up: int = WARM_UP, rest: float = REST
) -> float:
    """The time that a side takes for its orders. Raises NotMeasured if one is not sent and recorded."""
    async with side.open(sink.port) as opened:
        try:
            await all_taken(opened, sink, "warm", warm_up)
            await asyncio.sleep(rest)
            return await all_taken(opened, sink, "road", orders)
        except NotMeasured as error:
            words = opened.log.read_text(errors="replace")[-2000:]
            raise NotMeasured(f"{side.name}: {error}; its log ends with:\n{words}") from None


async def all_taken(opened: Opened, sink: CountingSink, series: str, count: int) -> float:
    """Post orders; returns the seconds until the sink has taken them all, once they are recorded."""
    last = sink.taken() + count
    taken = asyncio.create_task(sink.taken_at(last, STALLED))
    try:
        began = await opened.post(series, count)
        took = await taken - began
    finally:
        taken.cancel()
    await _recorded(opened)
    return took


async def _recorded(opened: Opened) -> None:
    deadline = time.monotonic() + RECORDED_WITHIN
    while left := await opened.unfinished():
        if time.monotonic() > deadline:
            raise NotMeasured(f"{left} mails are not recorded as sent {RECORDED_WITHIN:g} s after the last")
        await asyncio.sleep(0.5)
