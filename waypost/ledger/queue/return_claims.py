"""Returning the batches of a live process that stops or cannot reach Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.tables import IN_HAND, attempts, batches, notifications
from waypost.ledger.queue.batches import BatchResult, free_claimed, mark_ended
from waypost.model.states import State


async def return_batches(ledger: Ledger, ids: Sequence[UUID], *, untaken: bool = False) -> None:
    """Free at once the notifications of these batches that are not being sent. A batch ends as RETURNED,
    unless an attempt has no outcome: then it stays open until its lease lapses, and that message is in doubt.

    untaken: only batches that no run has taken up. Call it when no code sends for the batches any more.
    Raises NotRecorded when the ledger was given up.
    """

    def work(connection: sa.Connection) -> None:
        for id in sorted(ids):
            if is_open(connection, id, untaken):
                _give_back(connection, id)

    if ids:
        await ledger.write_until_durable(work)


def is_open(connection: sa.Connection, id: UUID, untaken: bool = False) -> bool:
    """Whether the batch may be returned. Locks the batch, as taking it up does."""
    wanted = sa.select(batches.c.id).where(batches.c.id == id, batches.c.ended_at.is_(None))
    if untaken:
        wanted = wanted.where(batches.c.taken_at.is_(None))
    return connection.execute(wanted.with_for_update()).first() is not None


def _give_back(connection: sa.Connection, id: UUID) -> None:
    if claim_between_steps(connection, id):
        announce_work(connection)
    else:
        mark_ended(connection, id, BatchResult.RETURNED, "")
    free_claimed(connection, id)


def claim_between_steps(connection: sa.Connection, id: UUID) -> bool:
    """Claim again the notifications of a batch that are between two steps of their route: a provider refused
    them, and the next did not get them yet. Returns whether an attempt of another has no outcome."""
    sending = sa.select(notifications.c.id).where(
        notifications.c.batch_id == id, IN_HAND, notifications.c.state == State.SENDING
    )
    begun = set(connection.scalars(sending.with_for_update()).all())
    unanswered = sa.select(attempts.c.notification_id).where(
        in_ids(attempts.c.notification_id, list(begun)), attempts.c.finished_at.is_(None)
    )
    in_doubt = set(connection.scalars(unanswered).all()) if begun else set[UUID]()
    if between := begun - in_doubt:  # refused by a provider, and not yet offered to the next
        claimed_again = sa.update(notifications).where(in_ids(notifications.c.id, list(between)))
        connection.execute(claimed_again.values(state=State.CLAIMED))
    return bool(in_doubt)
