"""Batches of 5,000 to some of a million recipients: what it costs to ask who may be written to.

Batches are taken up in turns, without and with the question.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from random import Random
from uuid import UUID

from benchmarks.harness.figures import Bar, Measured, NotMeasured
from benchmarks.harness.progress import say
from benchmarks.recipients.million import NEWS, RECIPIENTS, recipients, request
from waypost.ledger import Ledger
from waypost.ledger.intake.accept import accept
from waypost.ledger.queue import claims
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.model.category import Category, CategoryTerms

BATCH = 5_000
ROUNDS = 5
TERMS = {"quiet_hours": "03:00-03:01", "at_most": {"count": 100, "days": 30}}


async def measure() -> Measured:
    """The medians, for each notification."""
    policy = SendingPolicy.of(NEWS, {Category.MARKETING: CategoryTerms.model_validate(TERMS)}, [NEWS])
    random = Random(19)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    states = Counter[str]()
    async with recipients() as ledger:
        for number in range(ROUNDS + 1):
            for asks in (False, True) if number % 2 else (True, False):
                batch = await _batch(ledger, random, f"{number}-{asks}")
                took, found = await _taken_up(ledger, batch, policy if asks else None)
                say(f"{number}/{ROUNDS}  {'asked' if asks else 'without'} {took:.2f} s")
                if number:
                    seconds[asks].append(took)
                if asks:
                    states.update(found)
    cost = (statistics.median(seconds[True]) - statistics.median(seconds[False])) / BATCH * 1e3
    told = ", ".join(f"{count:,} {state}" for state, count in states.items())
    print(f"  {BATCH:,} of {RECIPIENTS:,} recipients: {cost:.4f} ms a notification; {told}")
    return Measured([Bar("asking_ms", cost, "<", 0.05)], {"without": seconds[False], "asked": seconds[True]})


async def _batch(ledger: Ledger, random: Random, series: str) -> UUID:
    people = random.sample(range(1, RECIPIENTS), BATCH)
    for start in range(0, BATCH, 500):
        some = [request(NEWS, one, f"{series}-{one}") for one in people[start : start + 500]]
        await accept(ledger, NEWS, some)
    claim = await claims.reserve(ledger, NEWS.name, NEWS.lane, BATCH)
    if claim is None or claim.size != BATCH:
        raise NotMeasured("the batch was not claimed whole")
    return claim.id


async def _taken_up(ledger: Ledger, batch: UUID, policy: SendingPolicy | None) -> tuple[float, Counter[str]]:
    """The seconds, and how many may be sent or have ended in which state."""
    began = time.perf_counter()
    found = await claims.take_up(ledger, NEWS.name, batch, policy=policy)
    took = time.perf_counter() - began
    return took, Counter({"allowed": len(found.notifications)}) + Counter(one.state for one in found.ended)
