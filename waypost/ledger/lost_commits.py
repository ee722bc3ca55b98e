"""A commit whose answer was lost with its connection: whether it was one is looked up by what it left.

Only this can say to who waits that what was sent is in the ledger, or that nothing of it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from waypost.ledger.candidate import Candidate
from waypost.ledger.engine import CommitLost, Ledger, Work, passes
from waypost.ledger.tables import notifications
from waypost.notification import Answer, Receipt

LOOKS_FOR_SECONDS = 5.0
LOOKS_EVERY_SECONDS = 0.1


async def accepted_for_sure(
    ledger: Ledger, candidates: Sequence[Candidate], work: Work[list[Receipt]]
) -> list[Receipt]:
    """What `work` answers, which accepts `candidates`, in one transaction that was surely committed.

    Raises what `write` raises; CommitLost only where the ledger stays away for longer than is waited here.
    """
    try:
        return await ledger.write(work)
    except CommitLost as lost:
        receipts = [one.receipt for one in candidates if one.receipt is not None]
        return await _settled(ledger, work, receipts, lost)


async def _settled(
    ledger: Ledger, work: Work[list[Receipt]], receipts: list[Receipt], lost: CommitLost
) -> list[Receipt]:
    """`receipts`, if the transaction that they were made in is there; else those of another."""
    new = next((one.id for one in receipts if one.outcome is Answer.ACCEPTED), None)
    clock = asyncio.get_running_loop().time
    until = clock() + LOOKS_FOR_SECONDS
    while clock() < until:
        try:
            # One row stands for all: they came in one transaction. Where there was none, nothing is doubled.
            if new is not None and await _is_there(ledger, new):
                return receipts
            return await ledger.write(work)
        except IntegrityError:  # it was being committed while it was looked for
            continue
        except Exception as error:
            if not passes(error):
                raise
        await asyncio.sleep(LOOKS_EVERY_SECONDS)
    raise lost


async def _is_there(ledger: Ledger, id: UUID) -> bool:
    found = sa.select(notifications.c.id).where(notifications.c.id == id)
    return await ledger.read(lambda connection: connection.scalar(found)) is not None
