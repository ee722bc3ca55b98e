"""Ends notifications whose deadline passed while they waited.

One whose last reply was about its address counts as a soft bounce, as if it had failed by that reply.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.tables import attempts, notifications
from waypost.ledger.queue.ending import end
from waypost.ledger.queue.recipient_rows import WITH_RECIPIENT, opened
from waypost.ledger.records import soft_bounces
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.states import State
from waypost.policy.blame import about_us
from waypost.policy.bounces import not_taken
from waypost.system.key_ring import NotOpened


def expire(connection: sa.Connection, ids: Sequence[UUID], reason: str, moment: datetime) -> None:
    """End `ids`, whose rows this transaction has locked, as expired."""
    if ids:
        end(connection, ids, State.EXPIRED, reason, moment)
        refused = [id for id, row in _last_attempts(connection, ids).items() if _is_soft(connection, row)]
        soft_bounces.note(connection, list(_addresses(connection, refused)) if refused else [])


def _last_attempts(connection: sa.Connection, ids: Sequence[UUID]) -> dict[UUID, Any]:
    """The last attempt of each that was answered."""
    table = attempts.c
    columns = (table.id, table.notification_id, table.channel, table.verdict, table.phase, table.code)
    wanted = (
        sa.select(*tolerant.raw(*columns, table.enhanced, table.words))
        .where(in_ids(table.notification_id, ids), table.verdict.is_not(None))
        .order_by(table.id)
    )
    found = ((tolerant.identity(row.notification_id), row) for row in tolerant.read(connection, wanted))
    return {id: row for id, row in found if isinstance(id, UUID)}


def _is_soft(connection: sa.Connection, row: Any) -> bool:
    """A damaged attempt says nothing of an address."""
    if row.channel != "email" or row.verdict not in (Verdict.REFUSED, Verdict.DEFERRED) or not row.code:
        return False
    with suppress(ValueError, TypeError):  # NotOpened too: without its words, nobody knows what it was about
        words = sealing.of(connection).opened(attempts, [tolerant.identity(row.id)], "words", row.words)
        phase = Phase(row.phase)
        about = about_us(row.code, row.enhanced, words or "", phase)
        return not_taken(Outcome(Verdict(row.verdict), phase, row.code, row.enhanced, about_us=about))
    return False


def _addresses(connection: sa.Connection, ids: Sequence[UUID]) -> Iterator[tuple[str, UUID]]:
    box = sealing.of(connection)
    for row in connection.execute(WITH_RECIPIENT.where(in_ids(notifications.c.id, ids))):
        with suppress(NotOpened):
            person = opened(box, row)
            named: dict[str, Any] = person.named or {}
            if email := named.get("email", person.email):
                yield email, person.id
