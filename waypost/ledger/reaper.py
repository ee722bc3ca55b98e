"""Bringing back what a lost run held: in every worker, once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ledger.batches import Ending, close, note_events
from waypost.ledger.engine import Ledger
from waypost.ledger.items import share_end
from waypost.ledger.many import among
from waypost.ledger.tables import IN_HAND, attempts, batches, notifications
from waypost.notification_type import Doubt, NotificationType
from waypost.outcome import Phase, Verdict
from waypost.policy import Decision, doubtful
from waypost.states import TERMINAL, State

LOST = "the worker was lost between sending and recording"


_UNENDED = sa.select(batches.c.id, batches.c.leased_until).where(sa.text("ended_at IS NULL"))


@dataclass(frozen=True, slots=True)
class Lapsed:
    """An open batch and the end of its lease, as it was read."""

    id: UUID
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What came back from a lost run: free again, and in doubt."""

    batch: UUID
    type: str
    free: int
    in_doubt: int


class Reaper:
    """Finds lost runs by their leases, without trusting any clock alone.

    A lease that has lapsed by the wall clock is believed once it was not renewed for a third of a lease
    by this process's own steady clock: an owner that lives renews it in that time, so a clock that
    jumped forward takes nothing from anybody. One that was not renewed for a whole lease is believed
    whatever the wall clock says, so a clock that jumped back keeps nothing from anybody.
    """

    def __init__(
        self,
        ledger: Ledger,
        types: Mapping[str, NotificationType],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._types = types
        self._steady = steady
        self._seen: dict[UUID, tuple[datetime, float]] = {}

    async def look(self) -> list[Reclaimed]:
        """Take back what was lost since; answers what that was."""
        rows = await self._ledger.read(lambda connection: connection.execute(_UNENDED).all())
        lapsed = self._lapsed([Lapsed(*row) for row in rows])
        found = [await reclaim(self._ledger, one, self._types) for one in lapsed]
        return [one for one in found if one is not None]

    def _lapsed(self, open_ones: Sequence[Lapsed]) -> list[Lapsed]:
        steady, wall, lease = self._steady(), now(), self._ledger.lease.total_seconds()
        seen: dict[UUID, tuple[datetime, float]] = {}
        lapsed: list[Lapsed] = []
        for one in open_ones:
            before = self._seen.get(one.id)
            since = before[1] if before and before[0] == one.leased_until else steady
            seen[one.id] = (one.leased_until, since)
            still_for = steady - since
            if still_for > lease or (one.leased_until <= wall and still_for > lease / 3):
                lapsed.append(one)
        self._seen = seen
        return lapsed


async def reclaim(ledger: Ledger, lapsed: Lapsed, types: Mapping[str, NotificationType]) -> Reclaimed | None:
    """End the batch as lost and free its work, unless somebody was quicker or its lease was renewed.

    What was half sent has its attempt marked UNKNOWN; its type says what becomes of it.
    """

    def work(connection: sa.Connection) -> Reclaimed | None:
        moment = now()
        ended = close(connection, lapsed.id, Ending.LOST, "", batches.c.leased_until == lapsed.leased_until)
        if ended is None:
            return None
        batch, freed = ended
        note_events(connection, freed, "run lost", "nothing of it had been sent", lapsed.id)
        doubted, between = _open_attempts(connection, _sending(connection, lapsed.id), moment)
        _settle(connection, doubted, types.get(batch.type), lapsed.id, moment)
        _free(connection, between)
        return Reclaimed(lapsed.id, batch.type, len(freed) + len(between), len(doubted))

    return await ledger.write(work)


def _sending(connection: sa.Connection, batch: UUID) -> list[sa.Row[Any]]:
    wanted = sa.select(notifications).where(
        notifications.c.batch_id == batch, IN_HAND, notifications.c.state == State.SENDING
    )
    return list(connection.execute(wanted.with_for_update()).all())


def _open_attempts(
    connection: sa.Connection, sending: Sequence[sa.Row[Any]], moment: datetime
) -> tuple[list[sa.Row[Any]], list[UUID]]:
    """Mark the attempts without an answer UNKNOWN; answers the notifications they belong to, and those
    that were between two attempts, with nothing on the wire."""
    if not sending:
        return [], []
    ids = [row.id for row in sending]
    marked = set(
        connection.scalars(
            sa.update(attempts)
            .where(among(attempts.c.notification_id, ids), attempts.c.finished_at.is_(None))
            .values(verdict=Verdict.UNKNOWN, phase=Phase.DOT, words=LOST, finished_at=moment)
            .returning(attempts.c.notification_id)
        )
    )
    return [row for row in sending if row.id in marked], [id for id in ids if id not in marked]


def _settle(
    connection: sa.Connection,
    doubted: Sequence[sa.Row[Any]],
    type: NotificationType | None,
    batch: UUID,
    moment: datetime,
) -> None:
    by_decision: dict[Decision, list[UUID]] = {}
    doubt = type.when_in_doubt if type else Doubt.HOLD
    for row in doubted:
        decision = doubtful(LOST, doubt, row.in_doubt, moment, row.expires_at)
        by_decision.setdefault(decision, []).append(row.id)
    for decision, ids in by_decision.items():
        values: dict[str, Any] = {"state": decision.state, "reason": decision.reason}
        if decision.due is not None:
            values["due_at"] = decision.due
        if decision.state in TERMINAL:
            values["finished_at"] = moment
        connection.execute(
            sa.update(notifications)
            .where(among(notifications.c.id, ids))
            .values(in_doubt=notifications.c.in_doubt + 1, **values)
        )
        if decision.state in TERMINAL:
            share_end(connection, ids, values)
        note_events(connection, ids, "run lost", f"{LOST}: {decision.state}", batch)


def _free(connection: sa.Connection, ids: Sequence[UUID]) -> None:
    if ids:
        connection.execute(
            sa.update(notifications).where(among(notifications.c.id, ids)).values(state=State.ACCEPTED)
        )
