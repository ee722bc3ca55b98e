"""A kill -9 in the middle of 1,000 mails: what each side loses, sends twice, and says of it.

Once all mails are accepted and 40 % have been taken, the worker and all its processes are killed, and started
again at once.
A side is watched until it has recorded all mails as sent, for 90 s at most; the times after which work comes
back are the defaults where they allow that, else as short as the documentation has them. Lost: not arrived by
then. Twice: copies beyond the first. Waypost names the mails that it may have sent twice.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass

from benchmarks.harness import servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.progress import say
from benchmarks.harness.sinks import Arrivals, arrivals
from benchmarks.peers import peer_sides, samples, waypost_sides
from benchmarks.peers.sides import Opened, Side

MAILS = 1000
SHARE = 0.4
WARM_UP = 100
WATCHED = 90.0  # seconds after the kill
QUIET = 2.0
STARTS_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """after: mails taken before the kill. doubtful: mails that the side names as possibly sent twice; None if
    it cannot know. unfinished: not recorded as sent at the end. seconds: from the kill to the last mail."""

    after: int
    lost: int
    twice: int
    doubtful: int | None
    unfinished: int
    seconds: float

    def __str__(self) -> str:
        named = "cannot name them" if self.doubtful is None else f"{self.doubtful} named"
        return (
            f"killed after {self.after:4}: {self.lost:4} lost  {self.twice:4} twice, {named:16}"
            f"  {self.unfinished:4} open  last mail after {self.seconds:3.0f} s"
        )


async def measure() -> Measured:
    """Kill the worker of each side once."""
    accounts: dict[str, Account] = {}
    bars: list[Bar] = []
    with servers.new_home() as home:
        ours, theirs = waypost_sides.sides(), await peer_sides.sides(samples.written(home))
        finished = [side for side in theirs if "rendering" not in side.name]
        for side in (*ours, *finished):
            accounts[side.name] = await account(side, MAILS)
            say(f"{side.name:22} {accounts[side.name]}")
    print(
        f"kill -9 after {SHARE:.0%} of {MAILS} mails or more, a new worker at once, watched for {WATCHED:g} s"
    )
    for side in (*ours, *finished):
        print(f"  {side.name:22} {accounts[side.name]}   {side.recovers}")
    for side in ours:
        found, name = accounts[side.name], side.name.split()[-1].lower()
        bars.append(Bar(f"peers_{name}_killed_lost", found.lost, "==", 0))
        bars.append(
            Bar(f"peers_{name}_killed_twice_unnamed", max(0, found.twice - (found.doubtful or 0)), "==", 0)
        )
    return Measured(bars, {name: asdict(one) for name, one in accounts.items()})


async def account(side: Side, mails: int) -> Account:
    """Kill a side's worker in the middle of its mails. Raises NotMeasured if it does not get that far."""
    async with arrivals() as sink, side.open(sink.port) as opened:
        await opened.post("warm", WARM_UP)
        await _arrived(opened, sink, WARM_UP)
        before = sink.duplicates
        await opened.post("kill", mails)
        await _arrived(opened, sink, WARM_UP + round(mails * SHARE))
        after = sink.mails.total() - WARM_UP - before
        opened.restart()
        return await _watched(opened, sink, WARM_UP + mails, before, after)


async def _arrived(opened: Opened, sink: Arrivals, count: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while sink.mails.total() < count:
        if time.monotonic() > deadline:
            words = opened.log.read_text(errors="replace")[-2000:]
            raise NotMeasured(f"{sink.mails.total()} of {count} mails came; the log ends with:\n{words}")
        await asyncio.sleep(0.01)


async def _watched(opened: Opened, sink: Arrivals, mails: int, before: int, after: int) -> Account:
    killed_at = moved_at = time.monotonic()
    taken, unfinished = sink.mails.total(), mails
    while unfinished or time.monotonic() - moved_at < QUIET:
        if time.monotonic() - killed_at > WATCHED:
            break
        await asyncio.sleep(0.5)
        if sink.mails.total() > taken:
            taken, moved_at = sink.mails.total(), time.monotonic()
        else:
            unfinished = await opened.unfinished()
    return Account(
        after=after,
        lost=mails - len(sink.mails),
        twice=sink.duplicates - before,
        doubtful=await opened.doubtful(),
        unfinished=unfinished,
        seconds=moved_at - killed_at,
    )
