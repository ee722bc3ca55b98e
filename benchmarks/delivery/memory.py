"""Memory of a worker during 100,000 messages: does it stay flat after the first 10,000?

A real worker beside a real Prefect server sends to smtp-sink, over connections that are each renewed after
1,000 messages. Orders are accepted 500 at a time while it sends, never more than 5,000 ahead of it: this is
how a shop hands over a long mailing, and it keeps the batches full. The resident memory of the worker's
process is read every second. The growth is from the memory after 10,000 messages to the greatest after
that.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.harness import sample_ledgers, servers
from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.progress import say
from benchmarks.harness.servers import Running
from benchmarks.harness.sinks import fast
from waypost.ledger import Ledger
from waypost.ledger.database.tables import notifications
from waypost.model.states import State

MESSAGES = 100_000
WARM_AFTER = 10_000
AHEAD = 5_000
CONNECTIONS = 64
LOOK_SECONDS = 1.0
SAY_EVERY = 10_000
PATIENCE = 120.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """The resident memory of the process in bytes when `sent` messages had been sent."""

    seconds: float
    sent: int
    rss: int


async def measure() -> Measured:
    """Measure on the embedded default, whose worker is `waypost up` itself, and with all on PostgreSQL."""
    growths: dict[str, float] = {}
    figures: dict[str, list[dict[str, float]]] = {}
    for kind, server in servers.BY_DATABASE.items():
        say(f"memory: {MESSAGES:,} messages, {kind}")
        async with _sink() as url, server(url) as running:
            samples = await _watched(running)
        growths[kind] = _told(kind, samples)
        figures[kind] = [asdict(sample) for sample in samples]
    worst = max(growths.values())
    return Measured([Bar("memory_growth_percent", worst, "<", 10)], {"growth": growths, "samples": figures})


def _told(kind: str, samples: list[Sample]) -> float:
    """Print the samples; returns the growth in percent."""
    after = [sample for sample in samples if sample.sent >= WARM_AFTER]
    warm, most, last = after[0], max(after, key=lambda sample: sample.rss), after[-1]
    growth = (most.rss / warm.rss - 1) * 100
    print(f"{MESSAGES:,} messages in {last.seconds:.0f} s, {kind}; resident of the worker:")
    for what, sample in (("at the start", samples[0]), ("then", warm), ("at the end", last), ("most", most)):
        print(f"  {what:<12} {sample.rss / MIB:7.1f} MiB, {sample.sent:7,} sent")
    print(f"  growth after the first {WARM_AFTER:,}: {growth:.1f} %")
    return growth


@asynccontextmanager
async def _sink() -> AsyncGenerator[str]:
    with servers.new_home() as folder:
        async with fast(folder) as sink:
            yield sink.url(CONNECTIONS)


async def _watched(running: Running) -> list[Sample]:
    """A sample every second until all have been sent. Raises NotMeasured when sending stalls."""
    ledger = running.ledger()
    source, accepted = sample_ledgers.lines("memory"), 0
    began = moved_at = time.monotonic()
    samples = [Sample(0.0, 0, _resident(running))]
    try:
        while (sent := samples[-1].sent) < MESSAGES:
            wanted = min(MESSAGES, sent + AHEAD)
            await sample_ledgers.fill(ledger, source, wanted - accepted)
            accepted = wanted
            await asyncio.sleep(LOOK_SECONDS)
            moment = time.monotonic()
            samples.append(Sample(moment - began, await _sent(ledger), _resident(running)))
            _progress(*samples[-2:])
            if samples[-1].sent > sent:
                moved_at = moment
            elif moment - moved_at > PATIENCE:
                raise NotMeasured(f"{sent:,} sent, and no more; its log ends with:\n{running.last_words}")
        return samples
    finally:
        await ledger.close()


async def _sent(ledger: Ledger) -> int:
    counted = sa.select(sa.func.count()).where(notifications.c.state == State.SENT)
    return await ledger.read(lambda connection: connection.scalar(counted) or 0)


def _resident(running: Running) -> int:
    """The worker's resident memory in bytes. Raises NotMeasured when the worker has ended."""
    pages = int(Path(f"/proc/{running.pid}/statm").read_text().split()[1])
    if not pages:  # ended, and not yet waited for
        raise NotMeasured(f"the worker has ended; its log ends with:\n{running.last_words}")
    return pages * os.sysconf("SC_PAGE_SIZE")


def _progress(before: Sample, here: Sample) -> None:
    if here.sent // SAY_EVERY > before.sent // SAY_EVERY:
        say(f"{here.sent:7,} sent in {here.seconds:4.0f} s   {here.rss / MIB:.1f} MiB")
