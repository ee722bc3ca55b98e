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
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.tables import IN_HAND, TROUBLE, WAITING, attempts, batches, events, notifications
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
LEFT = frozenset(State) - {State.SUPPRESSED}  # which is refused on purpose


@dataclass(frozen=True, slots=True)
class EarlierTry:
    """The batches of earlier tries of a run, and the summary of the last that took something up."""

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
        sa.select(table.id, table.size, table.summary)
        .where(sa.or_(its, table.id == batch) if batch else its)
        .where(table.ended_at.is_not(None), sa.or_(table.taken_at.is_not(None), interrupted))
        .order_by(table.id)
    )
    found = await ledger.read(lambda connection: connection.execute(wanted).all())
    if not found:
        return None
    told = next((row.summary for row in reversed(found) if row.size), found[-1].summary)
    return EarlierTry(tuple(row.id for row in found), told)


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
    note_change(connection, rows, "retried", BY, state, moment, batch)
    announce_work(connection)
    return True


def _some(
    connection: sa.Connection, type: NotificationType, earlier: EarlierTry, state: State
) -> Sequence[sa.Row[Any]]:
    """Some of them in `state`, locked: none of them moves before this transaction ends."""
    table = notifications
    wanted = (
        sa.select(table.c.id, table.c.reason, table.c.suspicion)
        .add_columns(*tolerant.raw(table.c.finished_at, table.c.batch_id))
        .where(*in_state(state), _was_in(earlier), table.c.type == type.name)
        .where(table.c.digest_id.is_(None), table.c.in_doubt == 0)
        .order_by(table.c.id)
        .limit(AT_ONCE)
        .with_for_update()
    )
    if state is State.HELD:
        of_this_run = in_ids(table.c.batch_id, earlier.batches)
        wanted = wanted.where(table.c.reason == HELD_BY_CANCEL, of_this_run)
    return with_few_items(connection, connection.execute(wanted).all())


def _was_in(earlier: EarlierTry) -> sa.ColumnElement[bool]:
    """Whether an earlier try of the run took the notification up. Its last batch may be another run's: a
    person retried the notification meanwhile, for example."""
    table = notifications.c
    tried, noted = (
        sa.exists().where(of.c.notification_id == table.id, in_ids(of.c.batch_id, earlier.batches))
        for of in (attempts, events)
    )
    return sa.or_(in_ids(table.batch_id, earlier.batches), tried, noted)


async def left_alone(
    ledger: Ledger, type: NotificationType, earlier: EarlierTry, batch: UUID
) -> Counter[State]:
    """How many notifications of earlier tries are not sent by the present try, by state: of those sent, what
    the earlier tries sent themselves; of the others, also what another run had last. batch: that of the
    present try. Looks up each notification of the type that waits: see `earlier_try`."""
    table = notifications.c
    tries = EarlierTry((*earlier.batches, batch), "")
    ours = table.type == type.name, table.digest_id.is_(None)
    which = (WAITING, sa.and_(IN_HAND, table.batch_id != batch), TROUBLE)
    sent = sa.and_(*in_state(State.SENT), in_ids(table.batch_id, earlier.batches))
    found: Counter[State] = Counter()

    def work(connection: sa.Connection) -> None:
        for these in (*(sa.and_(one, _was_in(tries)) for one in which), sent):
            wanted = sa.select(table.state, sa.func.count()).where(these, *ours).group_by(table.state)
            for state, count in connection.execute(wanted).all():
                if state in LEFT:
                    found[State(state)] = count

    await ledger.read(work)
    return found
