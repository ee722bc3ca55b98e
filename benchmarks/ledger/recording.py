"""Claiming, recording and finishing: what the ledger costs per notification that is sent.

A batch of 500 orders is claimed and taken up, each order gets an attempt and then an outcome, and the batch
ends; nothing is rendered or sent. The recorder is called for each notification separately, as connections
call it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.harness import sample_ledgers
from benchmarks.harness.figures import Bar, Measured
from benchmarks.harness.progress import say
from benchmarks.harness.sample_ledgers import BATCH
from waypost.flows.order_confirmation import TYPE
from waypost.ledger import Ledger
from waypost.ledger.queue import batches, claims
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.recorder import Recorder
from waypost.model.notification import Notification
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.retry import Decision

ROUNDS = 12
TAKEN = Outcome(Verdict.ACCEPTED, Phase.DOT, code=250, enhanced="2.0.0", words="Ok: queued as 4A1B2C3D")


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds per notification."""

    claim: float
    begin: float
    finish: float

    @property
    def total(self) -> float:
        return self.claim + self.begin + self.finish


async def measure() -> Measured:
    """The median of twelve batches on each database."""
    costs: dict[str, list[Cost]] = {}
    for kind in sample_ledgers.KINDS:
        say(f"recording on {kind}")
        async with sample_ledgers.empty(kind) as ledger:
            await sample_ledgers.fill(ledger, sample_ledgers.lines(), BATCH * (ROUNDS + 2))
            costs[kind] = [await _one(ledger) for _ in range(ROUNDS + 2)][2:]
    print(f"milliseconds a notification, batches of {BATCH}: claim and take, attempt, outcome and end")
    for kind, found in costs.items():
        parts = [
            statistics.median(getattr(one, part) for one in found) for part in ("claim", "begin", "finish")
        ]
        shown = " + ".join(f"{part:.4f}" for part in parts)
        print(f"  {kind:<11} {_median(found):.4f} = {shown}")
    return Measured(
        bars=[Bar(f"record_{kind.lower()}_ms", _median(found), "<", 0.1) for kind, found in costs.items()],
        figures={kind: [one.total for one in found] for kind, found in costs.items()},
    )


def _median(found: list[Cost]) -> float:
    return statistics.median(one.total for one in found)


async def _one(ledger: Ledger) -> Cost:
    recorder = Recorder(ledger)
    began = time.perf_counter()
    claim = await claims.reserve(ledger, TYPE.name, TYPE.lane)
    sample_ledgers.required(ledger, claim)
    assert claim is not None
    found = (await claims.take_up(ledger, TYPE.name, claim.id)).notifications
    claimed = time.perf_counter()
    begins = [_begin(one, claim) for one in found]
    await _all(recorder.begin(one) for one in begins)
    begun = time.perf_counter()
    await _all(recorder.finish(_finish(one)) for one in begins)
    await batches.end(ledger, claim.id, BatchResult.DONE, "500 sent")
    ended = time.perf_counter()
    each = 1000 / len(found)
    return Cost((claimed - began) * each, (begun - claimed) * each, (ended - begun) * each)


async def _all(writing: Iterable[asyncio.Future[int]]) -> None:
    """Wait for each write, as connections do."""
    for one in list(writing):
        await one


def _begin(one: Notification, claim: claims.Claim) -> AttemptStarted:
    return AttemptStarted(one.id, claim.id, "email", "smtp", None)


def _finish(begin: AttemptStarted) -> AttemptFinished:
    return AttemptFinished(
        begin.notification_id, begin.batch, Decision(State.SENT), attempt=begin.id, outcome=TAKEN
    )
