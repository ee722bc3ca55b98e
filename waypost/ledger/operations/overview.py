"""What the dashboard shows of the present: what waits, what failed last, and the last runs.

Every look goes by an index and is cut off at a limit, so that it costs the same in a ledger of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.tables import (
    IN_HAND,
    ITS_RECIPIENT,
    TROUBLE,
    WAITING,
    attempts,
    batches,
    notifications,
    recipients,
)
from waypost.ledger.database.tolerant import Identity
from waypost.ledger.operations.stats import shown_of
from waypost.ledger.queue import damaged_rows
from waypost.mail.masking import mask_in
from waypost.model.priority import Priority
from waypost.model.states import State

MOST = 10_000  # of the rows that a look counts in a lane or a state; more are shown as "10,000 or more"
FAILURES_SOUGHT = 5_000  # the newest failures of all types, among which those of each type are found
LAST_RUNS = 200


@dataclass(slots=True)
class Waiting:
    """What waits of a type. count: accepted and deferred. in_hand: claimed by a run, or being sent. due_at:
    when the first of those that wait is or was due. deferred_since: when the oldest of the deferred was
    accepted. next_try: when the first of the deferred comes back. reasons: why they were deferred."""

    count: int = 0
    in_hand: int = 0
    deferred: int = 0
    due_at: datetime | None = None
    deferred_since: datetime | None = None
    next_try: datetime | None = None
    reasons: Counter[str] = field(default_factory=Counter[str])

    def since(self, moment: datetime) -> datetime | None:
        """Since when the oldest waits: the first of the deferred, or of those that are due."""
        due = self.due_at if self.due_at and self.due_at <= moment else None
        return min((at for at in (due, self.deferred_since) if at), default=None)


async def waiting(ledger: Ledger, types: Iterable[str]) -> dict[str, Waiting]:
    """What waits of each type that has anything waiting or in a run."""
    statement = _lanes(tuple(sorted(types)))

    def work(connection: sa.Connection) -> dict[str, Waiting]:
        found: dict[str, Waiting] = {}
        for type, count, due_at in tolerant.read(connection, statement) if types else ():
            if count:
                of = found.setdefault(type, Waiting())
                of.count = min(of.count + count, MOST)
                of.due_at = _earliest(of.due_at, due_at)
        for type, count in tolerant.read(connection, _IN_HAND):
            found.setdefault(tolerant.text(type), Waiting()).in_hand = count
        for type, reason, count, accepted_at, due_at in tolerant.read(
            connection, _deferred(ledger.is_postgres)
        ):
            of = found.setdefault(tolerant.text(type), Waiting())
            of.deferred += count
            of.reasons[mask_in(tolerant.text(reason))] += count
            of.deferred_since = _earliest(of.deferred_since, accepted_at)
            of.next_try = _earliest(of.next_try, due_at)
        return found

    return await ledger.browse(work)


def _earliest(known: datetime | None, value: Any) -> datetime | None:
    found = tolerant.moment(value)
    if not isinstance(found, datetime):
        return known
    return found if known is None else min(known, found)


@lru_cache(8)
def _lanes(types: tuple[str, ...]) -> sa.CompoundSelect[Any]:
    """For each lane: how many wait, at most MOST, and when the first is due."""
    table = notifications.c
    looks: list[sa.Select[Any]] = []
    for type in types:
        for lane in Priority:
            of_lane = (table.type == type, table.priority == str(lane), WAITING)
            some = sa.select(sa.literal(1)).where(*of_lane).limit(MOST).subquery()
            first = sa.select(*tolerant.raw(table.due_at)).where(*of_lane).order_by(table.due_at).limit(1)
            count = sa.select(sa.func.count()).select_from(some).scalar_subquery()
            looks.append(sa.select(sa.literal(type), count, first.scalar_subquery()))
    return sa.union_all(*looks)


_IN_HAND = (
    sa.select(*tolerant.raw(notifications.c.type), sa.func.count())
    .where(IN_HAND)
    .group_by(notifications.c.type)
)


@lru_cache(2)
def _deferred(is_postgres: bool) -> sa.Select[Any]:
    """The oldest of the deferred, by type and reason."""
    table = notifications.c
    columns = (table.type, table.reason, table.accepted_at, table.due_at)
    oldest = sa.select(*columns).where(TROUBLE, table.state == _literal(State.DEFERRED))
    some = oldest.order_by(table.id).limit(MOST).subquery()
    moments = [
        damaged_rows.readable_moment(sa.func.min(column, type_=column.type), is_postgres)
        for column in (some.c.accepted_at, some.c.due_at)
    ]
    return sa.select(*tolerant.raw(some.c.type, some.c.reason), sa.func.count(), *moments).group_by(
        some.c.type, some.c.reason
    )


def _literal(state: State) -> sa.ColumnElement[str]:
    """A state as SQL: neither database uses a partial index for bound values."""
    return sa.literal_column(f"'{state}'", sa.Text)


@dataclass(frozen=True, slots=True)
class Failure:
    """A notification that failed, expired, or is held for a person to decide; without its address."""

    id: Identity | None
    type: str
    state: str
    recipient: str
    tries: int | str
    provider: str
    at: datetime | None
    reason: str
    flow_run_id: UUID | None


async def last_failures(ledger: Ledger, each: int) -> dict[str, list[Failure]]:
    """The last failures of each type that nobody has dealt with, the newest first: at most `each` that
    failed or expired, and as many that are held, so that neither hides the other."""
    wanted = _failures(each)

    def work(connection: sa.Connection) -> dict[str, list[Failure]]:
        found: dict[str, list[Failure]] = {}
        for row in tolerant.read(connection, wanted):
            failure = _failure(ledger.sealing, row)
            found.setdefault(failure.type, []).append(failure)
        return found

    return await ledger.browse(work)


@lru_cache(4)
def _failures(each: int) -> sa.Select[Any]:
    table = notifications
    newest = [_newest(State.FAILED), _newest(State.EXPIRED), _newest(State.HELD)]
    merged = sa.union_all(*(sa.select(one) for one in newest)).subquery()
    alike = (merged.c.type, merged.c.is_held)
    number = sa.func.row_number().over(partition_by=alike, order_by=merged.c.id.desc())
    numbered = sa.select(merged.c.id, number.label("number")).subquery()
    last = (
        sa.select(attempts.c.id)
        .where(attempts.c.notification_id == table.c.id)
        .order_by(attempts.c.id.desc())
        .limit(1)
        .correlate(table)
        .scalar_subquery()
    )
    columns = (
        table.c.id, table.c.type, table.c.state, table.c.recipient_key, table.c.named, table.c.tries,
        table.c.client, table.c.finished_at, table.c.reason, recipients.c.email, recipients.c.phone,
        attempts.c.provider, attempts.c.flow_run_id,
    )  # fmt: skip
    return (
        sa.select(*tolerant.raw(*columns))
        .select_from(numbered)
        .join(table, table.c.id == numbered.c.id)
        .join(recipients, ITS_RECIPIENT, isouter=True)
        .join(attempts, attempts.c.id == last, isouter=True)
        .where(numbered.c.number <= each)
        .order_by(table.c.id.desc())
    )


def _newest(state: State) -> sa.Subquery:
    """The newest notifications in `state`; of the held, those that a person must decide on."""
    table = notifications.c
    wanted = sa.select(table.id, table.type, table.reason).where(TROUBLE, table.state == _literal(state))
    some = wanted.order_by(table.id.desc()).limit(FAILURES_SOUGHT).subquery()
    is_held = sa.literal(int(state is State.HELD)).label("is_held")
    shown = sa.select(some.c.id, some.c.type, is_held)
    return (shown.where(some.c.reason != "digest") if state is State.HELD else shown).subquery()


def _failure(box: Sealing, row: Any) -> Failure:
    at, run = tolerant.moment(row.finished_at), tolerant.identity(row.flow_run_id)
    return Failure(
        id=tolerant.identity(row.id),
        type=tolerant.text(row.type),
        state=tolerant.text(row.state),
        recipient=shown_of(box, row),
        tries=row.tries if isinstance(row.tries, int) else tolerant.text(row.tries),
        provider=tolerant.text(row.provider),
        at=at if isinstance(at, datetime) else None,
        reason=mask_in(tolerant.text(row.reason)),
        flow_run_id=run if isinstance(run, UUID) else None,
    )


@dataclass(frozen=True, slots=True)
class LastRun:
    """The run of a type's last batch that ended, and its result in words."""

    flow_run_id: UUID
    summary: str
    at: datetime


async def last_runs(ledger: Ledger) -> dict[str, LastRun]:
    """The last run of each type that had a part in the last LAST_RUNS batches."""

    def work(connection: sa.Connection) -> dict[str, LastRun]:
        found: dict[str, LastRun] = {}
        rows = [row for wanted in _ENDED for row in tolerant.read(connection, wanted)]
        for row in rows:
            run, at = tolerant.identity(row.flow_run_id), tolerant.moment(row.ended_at)
            type = tolerant.text(row.type)
            if isinstance(run, UUID) and isinstance(at, datetime):
                known = found.get(type)
                if known is None or known.at < at:
                    found[type] = LastRun(run, mask_in(tolerant.text(row.summary)), at)
        return found

    return await ledger.browse(work)


def _last_ended(told: str) -> sa.Select[Any]:
    table = batches.c
    columns = tolerant.raw(table.type, table.flow_run_id, table.summary, table.ended_at)
    return sa.select(*columns).where(sa.text(told)).order_by(table.ended_at.desc()).limit(LAST_RUNS)


# Two lookups: each index has the batches in order.
_ENDED = [_last_ended("told_at IS NOT NULL"), _last_ended("told_at IS NULL AND ended_at IS NOT NULL")]
