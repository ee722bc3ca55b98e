"""Recovery of a commit whose response was lost with its connection: looks up what the commit left.

Only this lookup can tell the caller whether the requests are in the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import CommitLost, Ledger, Work, is_transient
from waypost.ledger.database.sqlite_file import FileReplaced
from waypost.ledger.database.tables import notifications
from waypost.ledger.intake.candidate import Candidate
from waypost.model.receipt import IntakeResult

T = TypeVar("T")

LOOKS_FOR_SECONDS = 5.0
LOOKS_EVERY_SECONDS = 0.1


async def accepted_for_sure(ledger: Ledger, candidates: Sequence[Candidate], work: Work[T]) -> T:
    """Run `work`, which accepts `candidates`, in one transaction; return once it was surely committed.

    Raises what `write` raises; CommitLost only if the ledger stays away for LOOKS_FOR_SECONDS, or its file
    was lost.
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
        except IntegrityError:  # the transaction was being committed during the lookup
            pass
        except Exception as error:
            if not is_transient(error):
                raise
        await asyncio.sleep(LOOKS_EVERY_SECONDS)
    raise lost


def repeatable(candidates: Sequence[Candidate], work: Work[T]) -> Work[T]:
    """Make `work`, which accepts `candidates`, safe to repeat: if the last try was committed, its result is
    returned. One new row stands for all, as they are in one transaction. Without a new row, because all were
    counted into earlier notifications, the lookup is by the transaction's id. If the last try wrote nothing,
    repeating it duplicates nothing."""
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
    """What identifies this transaction: a row it made, or its id if it only counted repeats."""
    outcomes = {one.receipt.outcome: one.id for one in candidates if one.receipt is not None}
    if (new := outcomes.get(IntakeResult.ACCEPTED)) is not None:
        return new
    if IntakeResult.GROUPED in outcomes and is_postgres(connection):
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
        return False  # after a failover, the new server does not know it
    if status == "in progress":
        raise CommitLost("the transaction whose connection was lost is still being committed")
    return status == "committed"
