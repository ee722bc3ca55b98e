"""Records and lists suspects: notifications whose runs end before they get to them.

waypost/policy/poison_item.py makes the decisions.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import random
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import IN_HAND, SUSPECTED, notifications
from waypost.ledger.database.tolerant import Identity
from waypost.ledger.queue import damaged_rows
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.ledger.queue.timeline_events import note_events
from waypost.model.notification_type import NotificationType
from waypost.model.states import State
from waypost.policy import poison_item
from waypost.system.clock import now

SHOWN = 5
NOTHING_SENT = "nothing had been sent"
logger = logging.getLogger("waypost.ledger")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A notification under suspicion that has not ended. reason: how its last run ended, and what follows."""

    id: Identity | None
    type: str
    reason: str


async def suspects(ledger: Ledger) -> tuple[int, list[Suspect]]:
    """How many notifications are suspect, and the most suspect of them."""
    table = notifications
    suspect = (SUSPECTED, table.c.suspicion >= poison_item.SUSPECT)
    worst = (
        sa.select(*tolerant.raw(table.c.id, table.c.type, table.c.reason))
        .where(*suspect)
        .order_by(table.c.suspicion.desc(), table.c.id)
        .limit(SHOWN)
    )

    def work(connection: sa.Connection) -> tuple[int, list[Suspect]]:
        count = connection.scalar(sa.select(sa.func.count()).where(*suspect).select_from(table)) or 0
        rows = tolerant.read(connection, worst)
        return count, [
            Suspect(tolerant.identity(row.id), tolerant.text(row.type), tolerant.text(row.reason))
            for row in rows
        ]

    return await ledger.read(work)


def died(connection: sa.Connection, batch: UUID, type: NotificationType) -> list[UUID]:
    """Free the notifications still claimed in a batch whose process died or sent no more heartbeats. Returns
    their ids."""
    jitter = random()

    def becomes(before: int) -> _Becomes:
        after = poison_item.after_a_death(before)
        pause = poison_item.pause_after_a_death(after, jitter)
        if after < poison_item.SUSPECT:
            return _Becomes(after, pause, NOTHING_SENT)
        return _Becomes(
            after, pause, f"its runs crash the worker before its first attempt; {_again(after, type)}"
        )

    return _write(connection, batch, type, "run lost", becomes)


def failed(
    connection: sa.Connection, batch: UUID, type: NotificationType, size: int, kind: str
) -> list[UUID]:
    """Free the notifications still claimed in a batch whose run failed; guilty ones fail. Returns their ids.
    size: the size of the batch. kind: the kind of error."""

    def becomes(before: int) -> _Becomes:
        after = poison_item.after_a_failure(before, size, type.batch_size)
        if poison_item.guilty(after):
            # A person's retry sends it alone again.
            return _Becomes(poison_item.ALONE, None, _GUILTY.format(kind))
        return _Becomes(
            after, poison_item.pause_after_a_failure(after), f"its run failed ({kind}); {_again(after, type)}"
        )

    return _write(connection, batch, type, "run failed", becomes)


_GUILTY = (
    f"{poison_item.FAILURES} runs failed ({{}}) with only this notification in them; read "
    "their logs, fix the cause, then run `waypost retry`"
)


@dataclass(frozen=True, slots=True)
class _Becomes:
    """pause: until it goes out again; None when it fails."""

    suspicion: int
    pause: timedelta | None
    reason: str

    def values(self, moment: datetime) -> dict[str, Any]:
        values: dict[str, Any] = {"suspicion": self.suspicion, "reason": self.reason}
        if self.pause is None:
            return {**values, "state": State.FAILED, "finished_at": moment}
        if self.pause:
            return {**values, "state": State.DEFERRED, "due_at": moment + self.pause}
        return {"suspicion": self.suspicion, "state": State.ACCEPTED}


def _again(after: int, type: NotificationType) -> str:
    size = poison_item.together(after, type.batch_size)
    return "it goes out again alone" if size == 1 else f"it goes out again in a batch of at most {size}"


def _write(
    connection: sa.Connection,
    batch: UUID,
    type: NotificationType,
    what: str,
    becomes: Callable[[int], _Becomes],
) -> list[UUID]:
    alike: defaultdict[int, list[UUID]] = defaultdict(list)
    claimed = sa.select(notifications.c.id, notifications.c.suspicion).where(
        notifications.c.batch_id == batch, IN_HAND, notifications.c.state == State.CLAIMED
    )
    rows, damaged = tolerant.each(
        connection, claimed.with_for_update(), [notifications.c.id], _with_suspicion
    )
    damaged_rows.fail_unreadable(connection, damaged)
    for id, before in rows:
        alike[before].append(id)
    for before, members in sorted(alike.items()):
        then = becomes(before)
        values = then.values(now())
        connection.execute(sa.update(notifications).where(in_ids(notifications.c.id, members)).values(values))
        if then.pause is None:
            copy_end_to_items(connection, members, values)
        note_events(connection, members, what, then.reason, batch)
        if then.suspicion >= poison_item.SUSPECT:
            others = f" and {len(members) - 1} others" if members[1:] else ""
            logger.error("%s %s%s: %s", type.name, members[0], others, then.reason)
    return [id for members in alike.values() for id in members]


def _with_suspicion(row: Any) -> Any:
    damaged_rows.check_counts(row.suspicion)
    return row
