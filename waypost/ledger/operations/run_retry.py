"""Sending again what failed in a run, when a person retries the run in Prefect."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.announcement import announce_work
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import batches, notifications
from waypost.ledger.operations.retry_cancel import (
    AT_ONCE,
    note_change,
    restart_items,
    restarted,
    with_few_items,
)
from waypost.ledger.operations.search import in_state
from waypost.ledger.queue.batches import BatchResult, announced, keep_open, open_batch
from waypost.ledger.queue.cancelled_runs import HELD_BY_CANCEL
from waypost.model.notification_type import NotificationType
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id

BY = "Retry of its run in Prefect"
# Only these: what a run deferred goes out by itself, and a person decides about each that may have arrived.
SENT_AGAIN = (State.FAILED, State.EXPIRED, State.HELD)


@dataclass(frozen=True, slots=True)
class EarlierTry:
    """The batches of earlier tries of a run, and the summary of the last."""

    batches: tuple[UUID, ...]
    summary: str

    @property
    def only_failed(self) -> bool:
        """Whether what the last try did not send had failed, and was neither held nor too late."""
        counted = {state for _, state in re.findall(r"(\d+) (\w+)", self.summary)}
        return State.FAILED in counted and not counted & {State.HELD, State.EXPIRED}


async def earlier_try(ledger: Ledger, flow_run_id: UUID, batch: UUID | None) -> EarlierTry | None:
    """What earlier tries of a run left; None if none took anything up, or was cancelled as it did. batch: the
    batch that the run was created for, if any. Reads all batches: a person's retry is rare, and no other run
    asks."""
    table = batches.c
    interrupted = sa.and_(table.ending == BatchResult.CANCELLED, table.size > 0)
    its = table.flow_run_id == flow_run_id
    wanted = (
        sa.select(table.id, table.summary)
        .where(sa.or_(its, table.id == batch) if batch else its)
        .where(table.ended_at.is_not(None), sa.or_(table.taken_at.is_not(None), interrupted))
        .order_by(table.id)
    )
    found = await ledger.read(lambda connection: connection.execute(wanted).all())
    return EarlierTry(tuple(row.id for row in found), found[-1].summary) if found else None


async def claim_again(
    ledger: Ledger, type: NotificationType, earlier: EarlierTry, flow_run_id: UUID, into: UUID | None = None
) -> UUID:
    """Claim for the run, in one batch, the notifications that failed or expired in its earlier tries, or that
    its cancellation held. They have the whole deadline again and begin at the first step of their route, as
    after `waypost retry`. A notification that may have arrived is not among them. Returns the batch.

    into: the open batch to claim them into, if there is one. Each transaction changes a bounded number; if
    the process dies in between, the rest stays as it is, and the batch's lease frees the others.
    """
    batch = into
    if batch is None:
        fresh = new_id()
        batch = await ledger.write_until_durable(lambda c: _open(c, ledger, type, flow_run_id, fresh))
    for state in SENT_AGAIN:
        while await ledger.write_until_durable(partial(_claim_some, ledger, type, earlier, state, batch)):
            pass
    return batch


def _open(
    connection: sa.Connection, ledger: Ledger, type: NotificationType, flow_run_id: UUID, fresh: UUID
) -> UUID:
    """The batch announced for the run, else the batch `fresh`."""
    known = announced(connection, flow_run_id)
    if known is not None and keep_open(connection, ledger, known):
        return known
    return open_batch(connection, ledger, type.name, type.lane, 0, flow_run_id, fresh)


def _claim_some(
    ledger: Ledger,
    type: NotificationType,
    earlier: EarlierTry,
    state: State,
    batch: UUID,
    connection: sa.Connection,
) -> bool:
    """Claim the next of them in `state`; False if there are no more. A notification that is suspected of
    ending its runs goes out with a run of its own."""
    if not keep_open(connection, ledger, batch) or not (rows := _some(connection, type, earlier, state)):
        return False
    moment = now()
    values = restarted(moment, moment + type.deadline)
    claimed = [row.id for row in rows if not row.suspicion]
    alone = [row.id for row in rows if row.suspicion]
    for ids, to in ((claimed, {"state": State.CLAIMED, "batch_id": batch}), (alone, {})):
        changed = sa.update(notifications).where(in_ids(notifications.c.id, ids))
        connection.execute(changed.values({**values, **to}))
    restart_items(connection, claimed + alone, state, values)
    grown = sa.update(batches).where(batches.c.id == batch).values(size=batches.c.size + len(claimed))
    connection.execute(grown)
    note_change(connection, rows, "retried", BY, state, moment)
    announce_work(connection)
    return True


def _some(
    connection: sa.Connection, type: NotificationType, earlier: EarlierTry, state: State
) -> Sequence[sa.Row[Any]]:
    """Some of them in `state`, locked: none of them moves before this transaction ends."""
    table = notifications
    wanted = (
        sa.select(table.c.id, table.c.reason, table.c.suspicion, *tolerant.raw(table.c.finished_at))
        .where(*in_state(state), in_ids(table.c.batch_id, earlier.batches), table.c.type == type.name)
        .where(table.c.digest_id.is_(None), table.c.in_doubt == 0)
        .order_by(table.c.id)
        .limit(AT_ONCE)
        .with_for_update()
    )
    if state is State.HELD:
        wanted = wanted.where(table.c.reason == HELD_BY_CANCEL)
    return with_few_items(connection, connection.execute(wanted).all())


async def left_alone(ledger: Ledger, type: NotificationType, earlier: EarlierTry) -> Counter[State]:
    """How many notifications of earlier tries are not sent again, by state."""
    table = notifications
    found: Counter[State] = Counter()

    def work(connection: sa.Connection) -> None:
        for state in (*SENT_AGAIN, State.DEFERRED, State.SENT):
            wanted = sa.select(sa.func.count()).where(
                *in_state(state), in_ids(table.c.batch_id, earlier.batches), table.c.type == type.name
            )
            found[state] = connection.scalar(wanted) or 0

    await ledger.read(work)
    return +found
