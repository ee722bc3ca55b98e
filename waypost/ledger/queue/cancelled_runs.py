"""Holding what a run has not sent when a person cancels the run in Prefect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import IN_HAND, WAITING, batches, notifications
from waypost.ledger.queue.batches import BatchResult, mark_ended
from waypost.ledger.queue.return_claims import claim_between_steps, is_open
from waypost.ledger.queue.timeline_events import note_events
from waypost.model.states import State

HELD_BY_CANCEL = "its run was cancelled in Prefect; `waypost retry ID` sends it"
COUNTED_AT_ONCE = 500


async def open_batches(ledger: Ledger, flow_run_id: UUID) -> list[UUID]:
    """The open batches of a run. Asked as a write: on SQLite, a write that the run's code began before it was
    interrupted is over then."""
    its = sa.select(batches.c.id).where(batches.c.flow_run_id == flow_run_id, batches.c.ended_at.is_(None))
    return list(await ledger.write_until_durable(lambda connection: connection.scalars(its).all()))


async def hold_unsent(ledger: Ledger, batch: UUID, ids: Sequence[UUID] = ()) -> int:
    """Hold for a person the notifications of a cancelled run that were not sent, and end its batch. Returns
    how many are held. A message without an outcome is left to the batch's lease, and is in doubt then.

    ids: the notifications that the run took up; those of them that it deferred are held too. Call it when no
    code sends for the batch any more. Safe to repeat. Raises NotRecorded when the ledger was given up.
    """

    def work(connection: sa.Connection) -> int:
        if not is_open(connection, batch):
            return 0
        if not claim_between_steps(connection, batch):
            mark_ended(connection, batch, BatchResult.CANCELLED, "")
        claimed = IN_HAND, notifications.c.batch_id == batch, notifications.c.state == State.CLAIMED
        held = _hold(connection, claimed, batch)
        deferred = WAITING, notifications.c.batch_id == batch, notifications.c.state == State.DEFERRED
        if ids:
            held += _hold(connection, (*deferred, in_ids(notifications.c.id, ids)), batch)
        return held

    return await ledger.write_until_durable(work)


def _hold(connection: sa.Connection, which: Sequence[sa.ColumnElement[bool]], batch: UUID) -> int:
    values: dict[str, Any] = {"state": State.HELD, "reason": HELD_BY_CANCEL}
    held = sa.update(notifications).where(*which).values(values).returning(notifications.c.id)
    ids = list(connection.scalars(held))
    note_events(connection, ids, "held", HELD_BY_CANCEL, batch)
    return len(ids)


async def counted_by_state(ledger: Ledger, ids: Sequence[UUID]) -> Counter[State]:
    """How many of the notifications are in each state. Each statement counts a bounded number."""
    table, found = notifications, Counter[State]()

    def work(connection: sa.Connection, some: Sequence[UUID]) -> None:
        wanted = sa.select(table.c.state, sa.func.count()).where(in_ids(table.c.id, some))
        for state, count in connection.execute(wanted.group_by(table.c.state)).all():
            if state in set(State):
                found[State(state)] += count

    for start in range(0, len(ids), COUNTED_AT_ONCE):
        await ledger.read(partial(work, some=ids[start : start + COUNTED_AT_ONCE]))
    return found
