"""Batches: the notifications claimed for one run, under one lease.

The process that makes a batch, runs it or watches over it holds its lease. `Leases` renews all leases of a
process with one statement. A batch ends once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import do_nothing, in_ids, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.tables import IN_HAND, batches, notifications
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id

logger = logging.getLogger("waypost.ledger")
RENEWALS = 4  # per lease: two may be late before a reaper that goes by the wall clock takes the batch


def owner() -> str:
    """This process, as batches name it. Asked when it is needed: a forked process is another owner."""
    return f"{os.uname().nodename}:{os.getpid()}"


class BatchResult(StrEnum):
    """How a batch ended."""

    DONE = "done"  # its run accounted for everything
    LOST = "lost"  # its run sent no more heartbeats; the rest went to other runs
    FAILED = "failed"  # its run failed, but its process lived; the rest went to other runs
    DIRECT = "direct"  # sent by a worker without Prefect, which did not respond
    CANCELLED = "cancelled"  # a person cancelled its run in Prefect; what was not sent is held
    RETURNED = "returned"  # returned by a live process that stops or cannot reach Prefect


@dataclass(frozen=True, slots=True)
class UnreportedBatch:
    """An ended batch whose end Prefect may not know."""

    id: UUID
    type: str
    size: int
    flow_run_id: UUID | None
    started: bool
    ending: BatchResult
    summary: str
    created_at: datetime
    ended_at: datetime


def open_batch(
    connection: sa.Connection,
    ledger: Ledger,
    type: str,
    priority: Priority,
    size: int,
    flow_run_id: UUID | None = None,
    id: UUID | None = None,
) -> UUID:
    """Make a batch, leased from now on, in the caller's transaction. Returns its id."""
    moment, id = now(), id or new_id()
    values: dict[str, Any] = {
        "id": id,
        "type": type,
        "priority": priority,
        "size": size,
        "flow_run_id": flow_run_id,
        "owner": owner(),
        "created_at": moment,
        "leased_until": moment + ledger.lease,
    }
    insert_many(connection, batches, [values], on_conflict=do_nothing)
    return id


async def open_for_run(ledger: Ledger, type: NotificationType, flow_run_id: UUID) -> UUID:
    """Make a batch for a run that brings its own requests, before the run starts. If its worker is lost
    before they are accepted, the process that finds the lease lapsed lets the run start again. Several
    workers that want the run get the same batch."""

    def work(connection: sa.Connection) -> UUID:
        known = announced(connection, flow_run_id)
        return known or open_batch(connection, ledger, type.name, type.lane, 0, flow_run_id)

    return await ledger.write(work)


def announced(connection: sa.Connection, flow_run_id: UUID | None) -> UUID | None:
    """The open batch that waits for that run to take it up; None without one."""
    if flow_run_id is None:
        return None
    return connection.scalar(
        sa.select(batches.c.id).where(
            batches.c.flow_run_id == flow_run_id,
            batches.c.ended_at.is_(None),
            batches.c.taken_at.is_(None),
        )
    )


def keep_open(connection: sa.Connection, ledger: Ledger, id: UUID) -> bool:
    """Lock the batch until the transaction ends, and renew its lease. False when the batch has ended.

    Call it before anything is claimed into a batch that an earlier statement found open: a reaper may end the
    batch in between, and would not see what is claimed later.
    """
    renewed = (
        sa.update(batches)
        .where(batches.c.id == id, batches.c.ended_at.is_(None))
        .values(leased_until=now() + ledger.lease)
    )
    return connection.execute(renewed).rowcount > 0


async def given_run(ledger: Ledger, id: UUID, flow_run_id: UUID) -> None:
    """Note which run was made for the batch."""

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.update(batches).where(batches.c.id == id).values(flow_run_id=flow_run_id))

    await ledger.write_until_durable(work)


async def end_unused(ledger: Ledger, id: UUID) -> None:
    """End a batch announced for a run that failed before it took anything up; any other batch stays."""
    unused = (
        sa.update(batches)
        .where(
            batches.c.id == id,
            batches.c.ended_at.is_(None),
            batches.c.taken_at.is_(None),
            batches.c.size == 0,
        )
        .values(ended_at=now(), ending=BatchResult.DONE, summary="its run failed first", told_at=now())
    )
    await ledger.write(lambda connection: connection.execute(unused))


async def end(
    ledger: Ledger, id: UUID, ending: BatchResult, summary: str = "", flow_run_id: UUID | None = None
) -> bool:
    """End the batch and free the notifications still claimed in it. False when the batch had ended before, or
    when one of its notifications is being sent: then it stays open until a reaper finds its lease lapsed.

    flow_run_id: the run that has ended; the batch announced for it ends too.
    """

    def work(connection: sa.Connection) -> bool:
        if (unused := announced(connection, flow_run_id)) is not None:
            mark_ended(connection, unused, ending, "")
            free_claimed(connection, unused)
        if mark_ended(connection, id, ending, summary) is None:
            return False
        free_claimed(connection, id)
        # Checked after the others are freed, so that an attempt that begins in between is seen.
        left = sa.select(notifications.c.id).where(notifications.c.batch_id == id, IN_HAND)
        if connection.execute(left.limit(1)).first() is not None:
            raise _StillSending
        return True

    try:
        return await ledger.write_until_durable(work)
    except _StillSending:
        return False


class _StillSending(Exception):
    """Rolls back the end of a batch."""


def mark_ended(
    connection: sa.Connection,
    id: UUID,
    ending: BatchResult,
    summary: str,
) -> sa.Row[Any] | None:
    """Mark the batch ended; the caller frees the notifications claimed in it. Returns the batch's type, size
    and taken_at, raw; None when it had ended before.

    Every transaction locks a batch before its notifications, so that none deadlocks.
    """
    announce_work(connection)  # there is a free slot
    given = {"batch": id, "moment": now(), "_ending": ending, "_summary": summary}
    return next(iter(tolerant.read(connection, _ENDED, given)), None)


_ENDED = (
    sa.update(batches)
    .where(batches.c.id == sa.bindparam("batch"), batches.c.ended_at.is_(None))
    .values(ended_at=sa.bindparam("moment"), ending=sa.bindparam("_ending"), summary=sa.bindparam("_summary"))
    .returning(*tolerant.raw(batches.c.type, batches.c.size, batches.c.taken_at))
)


def free_claimed(connection: sa.Connection, id: UUID) -> list[UUID]:
    """Free the notifications that are claimed in the batch and not being sent. Returns their ids."""
    return tolerant.ids(connection, _FREED, {"batch": id})


_FREED = (
    sa.update(notifications)
    .where(notifications.c.batch_id == sa.bindparam("batch"), IN_HAND, notifications.c.state == State.CLAIMED)
    .values(state=State.ACCEPTED)
    .returning(*tolerant.raw(notifications.c.id))
)


class Progress(NamedTuple):
    """How far an open batch has come: whether a run has taken it up, and how many it holds."""

    taken: bool
    size: int


_OPEN = sa.select(batches.c.id, batches.c.taken_at.is_not(None), batches.c.size).where(
    in_ids(batches.c.id, "ids"), batches.c.ended_at.is_(None)
)


async def open_among(ledger: Ledger, ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """The batches among `ids` that have not ended."""
    if not ids:
        return {}
    found = await ledger.read(lambda connection: connection.execute(_OPEN, {"ids": ids}).all())
    return {id: Progress(bool(taken), size) for id, taken, size in found}


async def unreported(
    ledger: Ledger, before: datetime, limit: int = 50, without: Sequence[UUID] = ()
) -> list[UnreportedBatch]:
    """Batches that ended by `before` and whose run Prefect may show wrongly, oldest first, without those of
    the ids `without`. Those whose rows cannot be read count as reported from then on."""
    wanted = (
        sa.select(batches)
        .where(sa.text("told_at IS NULL AND ended_at IS NOT NULL"), batches.c.ended_at <= before)
        .order_by(batches.c.ended_at)
        .limit(limit)
    )
    if without:
        wanted = wanted.where(sa.not_(in_ids(batches.c.id, without)))
    good, damaged = await ledger.read(
        lambda connection: tolerant.each(connection, wanted, [batches.c.id], _unreported)
    )
    if damaged:
        passed_over = sa.update(batches).where(sa.or_(*(one.is_it for one in damaged))).values(told_at=now())
        await ledger.write(lambda connection: connection.execute(passed_over))
    return good


def _unreported(row: Any) -> UnreportedBatch:
    tolerant.checked(row, batches)
    return UnreportedBatch(
        id=row.id,
        type=row.type,
        size=row.size,
        flow_run_id=row.flow_run_id,
        started=row.taken_at is not None,
        ending=BatchResult(row.ending),
        summary=row.summary,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


async def runs_in_hand(ledger: Ledger, flow_run_ids: Sequence[UUID]) -> set[UUID]:
    """The runs that have an open batch: a worker runs them, or will."""
    wanted = sa.select(batches.c.flow_run_id).where(
        batches.c.ended_at.is_(None), in_ids(batches.c.flow_run_id, flow_run_ids)
    )
    return set(await ledger.read(lambda connection: connection.scalars(wanted).all()))


async def mark_reported(ledger: Ledger, ids: Sequence[UUID]) -> None:
    """Note that Prefect shows the right state of those batches' runs."""
    if ids:
        marked = sa.update(batches).where(in_ids(batches.c.id, ids)).values(told_at=now())
        await ledger.write_until_durable(lambda connection: connection.execute(marked))
