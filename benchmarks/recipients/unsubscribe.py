"""Somebody with 10,000 waiting notifications turns their category off: how long until none of them can go out
any more. 200 codes to the same person wait beside them, and stay."""

from __future__ import annotations

import time
from collections import Counter

import sqlalchemy as sa

from benchmarks.harness.figures import Bar, Measured
from benchmarks.recipients.million import CODES, NEWS, recipients, request
from waypost.ledger import Ledger
from waypost.ledger.database.tables import notifications
from waypost.ledger.intake.accept import accept
from waypost.ledger.operations.preference_change import Choosing, choose
from waypost.model.cadence import Cadence, Every
from waypost.model.category import Category
from waypost.model.notification_type import NotificationType
from waypost.model.permission import Preference

WAITING, OF_CODES = 10_000, 200
PERSON = 7
NEVER = {Category.MARKETING: Preference(Cadence(Every.NEVER))}


async def measure() -> Measured:
    """The seconds, and what became of each."""
    async with recipients() as ledger:
        await _wait(ledger, NEWS, WAITING)
        await _wait(ledger, CODES, OF_CODES)
        began = time.perf_counter()
        choosing = Choosing("", f"r-{PERSON}", NEVER, "one click", address=f"r-{PERSON}@buyer.example")
        await choose(ledger, choosing, {Category.MARKETING: [NEWS.name]})
        took = time.perf_counter() - began
        states = await _states(ledger)
    print(f"  {WAITING:,} waiting notifications of one person: suppressed after {took:.2f} s; {dict(states)}")
    bars = [
        Bar("unsubscribe_10000_s", took, "<", 1),
        Bar("unsubscribe_left", WAITING - states[NEWS.name, "suppressed"], "==", 0),
        Bar("unsubscribe_codes_left", states[CODES.name, "accepted"], "==", OF_CODES),
    ]
    return Measured(bars, {"seconds": took})


async def _wait(ledger: Ledger, type: NotificationType, count: int) -> None:
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        await accept(ledger, type, [request(type, PERSON, f"{type.name}-{n}") for n in numbers])


async def _states(ledger: Ledger) -> Counter[tuple[str, str]]:
    table = notifications.c
    wanted = sa.select(table.type, table.state, sa.func.count()).group_by(table.type, table.state)
    rows = await ledger.read(lambda connection: connection.execute(wanted).all())
    return Counter({(type, state): count for type, state, count in rows})
