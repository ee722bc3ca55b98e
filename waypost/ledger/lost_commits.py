"""A commit whose answer was lost with its connection: whether it was one is looked up by what it left.

Only this can say to who waits that what was sent is in the ledger, or that nothing of it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from waypost.ledger.candidate import Candidate
from waypost.ledger.engine import CommitLost, Ledger, Work, passes
from waypost.ledger.tables import notifications
from waypost.notification import Answer

T = TypeVar("T")

LOOKS_FOR_SECONDS = 5.0
LOOKS_EVERY_SECONDS = 0.1


async def accepted_for_sure(ledger: Ledger, candidates: Sequence[Candidate], work: Work[T]) -> T:
    """What `work` answers, which accepts `candidates`, in one transaction that was surely committed.

    Raises what `write` raises; CommitLost only where the ledger stays away for longer than is waited here.
    """
    again = repeatable(candidates, work)
    try:
        return await ledger.write(again)
    except CommitLost as error:
        lost = error
    clock = asyncio.get_running_loop().time
    until = clock() + LOOKS_FOR_SECONDS
    while clock() < until:
        try:
            return await ledger.write(again)
        except IntegrityError:  # it was being committed while it was looked for
            pass
        except Exception as error:
            if not passes(error):
                raise
        await asyncio.sleep(LOOKS_EVERY_SECONDS)
    raise lost


def repeatable(candidates: Sequence[Candidate], work: Work[T]) -> Work[T]:
    """`work`, which accepts `candidates`, for a second go: where the first is found to have been committed,
    its answer stands. One row stands for all, which come in one transaction; where the first made none, to
    do it over doubles nothing."""
    first: list[tuple[T, UUID]] = []

    def again(connection: sa.Connection) -> T:
        for answer, new in first[-1:]:
            if _is_there(connection, new):
                return answer
        answer = work(connection)
        first.extend((answer, new) for new in _new(candidates)[:1])
        return answer

    return again


def _new(candidates: Sequence[Candidate]) -> list[UUID]:
    receipts = (one.receipt for one in candidates)
    return [one.id for one in receipts if one is not None and one.outcome is Answer.ACCEPTED]


def _is_there(connection: sa.Connection, id: UUID) -> bool:
    found = sa.select(notifications.c.id).where(notifications.c.id == id)
    return connection.scalar(found) is not None
