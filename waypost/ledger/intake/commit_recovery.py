"""A commit whose answer was lost with its connection: whether it was one is looked up by what it left.

Only this can say to who waits that what was sent is in the ledger, or that nothing of it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from waypost.ledger.database.ledger import CommitLost, Ledger, Work, is_transient
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.tables import notifications
from waypost.ledger.intake.candidate import Candidate
from waypost.model.receipt import IntakeResult

T = TypeVar("T")

LOOKS_FOR_SECONDS = 5.0
LOOKS_EVERY_SECONDS = 0.1


async def accepted_for_sure(ledger: Ledger, candidates: Sequence[Candidate], work: Work[T]) -> T:
    """What `work` answers, which accepts `candidates`, in one transaction that was surely committed.

    Raises what `write` raises; CommitLost only where the ledger stays away for longer than is waited here, or
    its file was lost.
    """
    again = repeatable(candidates, work)
    try:
        return await ledger.write(again)
    except FileReplaced:  # it stays lost
        raise
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
            if not is_transient(error):
                raise
        await asyncio.sleep(LOOKS_EVERY_SECONDS)
    raise lost


def repeatable(candidates: Sequence[Candidate], work: Work[T]) -> Work[T]:
    """`work`, which accepts `candidates`, for a second go: where the first is found to have been committed,
    its answer stands. One row stands for all, which come in one transaction. Where there is none, as all were
    counted into earlier notifications, the transaction itself is asked for; where the first go wrote
    nothing, to do it over doubles nothing."""
    first: list[tuple[T, UUID | int]] = []

    def again(connection: sa.Connection) -> T:
        for answer, trace in first[-1:]:
            if _is_there(connection, trace) if isinstance(trace, UUID) else _was_committed(connection, trace):
                return answer
        answer = work(connection)
        if (trace := _trace(connection, candidates)) is not None:
            first.append((answer, trace))
        return answer

    return again


def _trace(connection: sa.Connection, candidates: Sequence[Candidate]) -> UUID | int | None:
    """What this transaction can be told by: a row it made, or its id where it only counted."""
    outcomes = {one.receipt.outcome: one.id for one in candidates if one.receipt is not None}
    if (new := outcomes.get(IntakeResult.ACCEPTED)) is not None:
        return new
    if IntakeResult.GROUPED in outcomes and connection.dialect.name == "postgresql":
        return connection.scalar(sa.text("SELECT txid_current()"))
    return None


def _is_there(connection: sa.Connection, id: UUID) -> bool:
    found = sa.select(notifications.c.id).where(notifications.c.id == id)
    return connection.scalar(found) is not None


def _was_committed(connection: sa.Connection, transaction: int) -> bool:
    """Raises CommitLost while the transaction is being committed."""
    try:
        with connection.begin_nested():
            status = connection.scalar(sa.text("SELECT txid_status(:id)"), {"id": transaction})
    except DBAPIError:
        return False  # a server that took over has not heard of it
    if status == "in progress":
        raise CommitLost("the transaction whose connection was lost is still being committed")
    return status == "committed"
