"""The reaper, one in every worker: frees the notifications of lost runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import IN_HAND, attempts, batches, notifications
from waypost.ledger.queue import damaged_rows, suspects
from waypost.ledger.queue.batches import RENEWALS, BatchResult, free_claimed, mark_ended
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.ledger.queue.renewal_clock import Stillness
from waypost.ledger.queue.timeline_events import note_events
from waypost.model.notification_type import Doubt, NotificationType
from waypost.model.outcome import Phase, Verdict
from waypost.model.states import TERMINAL, State
from waypost.policy.retry import Decision, doubtful
from waypost.system.clock import now
from waypost.system.ids import new_id

LOST = "the worker was lost before it recorded the outcome"
LOOKS = 8  # per lease, at least
logger = logging.getLogger("waypost.ledger")

_HOLDING = (
    sa.select(*tolerant.raw(notifications.c.batch_id))
    .where(IN_HAND, notifications.c.batch_id.is_not(None))
    .distinct()
)
# Changes nothing, and fails where a renewal fails.
_TOUCHED = (
    sa.update(batches)
    .where(in_ids(batches.c.id, "ids"), batches.c.ended_at.is_(None))
    .values(leased_until=batches.c.leased_until)
)


@dataclass(frozen=True, slots=True)
class Lapsed:
    """An open batch and the end of its lease, as it was read; None for an end that cannot be read."""

    id: UUID
    leased_until: datetime | None


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """The batch of a lost run, and how many of its notifications are free again and in doubt."""

    batch: UUID
    type: str
    free: int
    in_doubt: int


class Reaper:
    """Finds lost runs by their leases, without trusting any clock alone.

    A lease that has lapsed by the wall clock counts as lapsed once it was not renewed for half its length by
    this process's monotonic clock. A live owner renews it twice in that time, so a clock that jumps forward
    takes no batch from its owner. A lease not renewed for its whole length counts as lapsed whatever the wall
    clock says, so a clock that jumps back keeps no batch from other workers. Only time in which this process
    could write to the ledger counts: no owner can renew a lease while the ledger is unavailable. A lease that
    cannot be read has lapsed by the wall clock: a live owner's next renewal repairs it.
    """

    def __init__(
        self,
        ledger: Ledger,
        types: Mapping[str, NotificationType],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """types: the types this worker knows. Batches of other types are left to workers that know their
        when_in_doubt."""
        self._ledger = ledger
        self._types = types
        self._steady = steady
        self._lease = ledger.lease.total_seconds()
        # A little less than two looks, so that a late look takes no batch from a live owner.
        self._stillness = Stillness(longest=1.6 * self._lease / LOOKS)

    async def look(self) -> list[Reclaimed]:
        """Reclaim the batches of lost runs. Returns them."""
        try:
            return await self._look()
        except Exception:
            self._stillness.forget()
            raise

    async def _look(self) -> list[Reclaimed]:
        found = await self._ledger.read(_read)
        lapsed = self._lapsed([one for one, type in found.open_ones if type in self._types])
        if still := self._stillness.over(self._lease / RENEWALS):
            await self._ledger.write(lambda connection: connection.execute(_TOUCHED, {"ids": still}))
        if found.unreadable:
            found.stranded.append(await self._ledger.write(_regroup))
        for batch in found.stranded:
            await free_stranded(self._ledger, batch, self._types)
        reclaimed = [await reclaim(self._ledger, one, self._types) for one in lapsed]
        return [one for one in reclaimed if one is not None]

    def _lapsed(self, open_ones: Sequence[Lapsed]) -> list[Lapsed]:
        leases = {one.id: one.leased_until for one in open_ones}
        still, wall, lease = self._stillness.look(leases, self._steady()), now(), self._lease
        return [
            one
            for one in open_ones
            if still[one.id] > lease
            or ((one.leased_until is None or one.leased_until <= wall) and still[one.id] > lease / 2)
        ]


@dataclass(frozen=True, slots=True)
class _Found:
    """open_ones: the open batches, each with its type. stranded: the batches that are not open but still have
    claimed notifications. unreadable: whether a notification has a batch whose id cannot be read."""

    open_ones: list[tuple[Lapsed, str]]
    stranded: list[UUID]
    unreadable: bool


def _read(connection: sa.Connection) -> _Found:
    """The claims are read first, so that a batch opened in between does not count as stranded."""
    with tolerant.forgiving(connection):
        holding = {tolerant.identity(id) for id in connection.scalars(_HOLDING)}
        rows = connection.execute(_unended(is_postgres(connection))).all()
    open_ones = [
        (Lapsed(id, damaged_rows.moment(row.leased_until)), tolerant.text(row.type))
        for row in rows
        if isinstance(id := tolerant.identity(row.id), UUID)
    ]
    readable = {id for id in holding if isinstance(id, UUID)}
    known = {one.id for one, _ in open_ones}
    return _Found(open_ones, [id for id in readable if id not in known], readable != holding)


@lru_cache(2)
def _unended(postgres: bool) -> sa.Select[Any]:
    leased_until = damaged_rows.readable_moment(batches.c.leased_until, postgres)
    columns = *tolerant.raw(batches.c.id, batches.c.type), leased_until.label("leased_until")
    return sa.select(*columns).where(sa.text("ended_at IS NULL"))


def _regroup(connection: sa.Connection) -> UUID:
    """Put the notifications that are claimed by a batch whose id cannot be read into one that does not exist.
    Returns its id."""
    batch = new_id()
    claimed = sa.select(notifications.c.batch_id).where(IN_HAND)
    _, damaged = tolerant.each(connection, claimed, [notifications.c.id], lambda row: row)
    for one in damaged:
        connection.execute(sa.update(notifications).where(one.is_it).values(batch_id=batch))
    return batch


async def reclaim(ledger: Ledger, lapsed: Lapsed, types: Mapping[str, NotificationType]) -> Reclaimed | None:
    """End the batch as lost and free its work; None when another worker was quicker or its lease was renewed.

    An attempt without an outcome is marked UNKNOWN; its type, one of `types`, decides what follows.
    """

    def work(connection: sa.Connection) -> Reclaimed | None:
        if not _is_unchanged(connection, lapsed):
            return None
        batch = mark_ended(connection, lapsed.id, BatchResult.LOST, "")
        if batch is None:
            return None
        if batch.taken_at is None:
            freed = free_claimed(connection, lapsed.id)
            note_events(connection, freed, "run lost", suspects.NOTHING_SENT, lapsed.id)
        else:
            freed = suspects.died(connection, lapsed.id, types[batch.type])
        left = _in_hand(connection, lapsed.id)
        between, doubted = _take_back(connection, lapsed.id, left, types[batch.type])
        return Reclaimed(lapsed.id, batch.type, len(freed) + between, doubted)

    return await ledger.write(work)


def _is_unchanged(connection: sa.Connection, lapsed: Lapsed) -> bool:
    """Whether the lease was not renewed since it was read. Locks the batch: it cannot be renewed then."""
    leased_until = damaged_rows.readable_moment(batches.c.leased_until, is_postgres(connection))
    with tolerant.forgiving(connection):
        found = connection.execute(
            sa.select(leased_until.label("leased_until")).where(batches.c.id == lapsed.id).with_for_update()
        ).one_or_none()
    if found is None or damaged_rows.moment(found.leased_until) != lapsed.leased_until:
        return False
    if lapsed.leased_until is None:
        logger.error("the lease of batch %s cannot be read; it counts as lapsed", lapsed.id)
    return True


async def give_back(ledger: Ledger, batch: UUID, type: NotificationType, kind: str) -> None:
    """End a batch whose run failed in this process, and free its work. Does nothing when the batch has ended.
    kind: the kind of error, for people."""

    def work(connection: sa.Connection) -> None:
        if (ended := mark_ended(connection, batch, BatchResult.FAILED, kind)) is not None:
            suspects.failed(connection, batch, type, ended.size, kind)
            _take_back(connection, batch, _in_hand(connection, batch), type)

    await ledger.write(work)


async def free_stranded(ledger: Ledger, batch: UUID, types: Mapping[str, NotificationType]) -> None:
    """Free the notifications still claimed in an ended batch, if its type is one of `types`. No code should
    leave a notification there; this is the safety net."""

    def work(connection: sa.Connection) -> tuple[int, int]:
        good, damaged = _in_hand(connection, batch)
        of_type = [tolerant.Found([row for row in good if row.type == name], []) for name in types]
        freed = [
            _take_back(connection, batch, left, type)
            for left, type in zip(of_type, types.values(), strict=True)
            if left.good
        ]
        damaged_rows.fail_unreadable(connection, damaged)
        return sum(free for free, _ in freed), sum(doubted for _, doubted in freed)

    free, doubted = await ledger.write(work)
    if free or doubted:
        logger.error(
            "batch %s had ended with claimed notifications: %d are free again, %d are in "
            "doubt. Please report this",
            batch,
            free,
            doubted,
        )


def _take_back(
    connection: sa.Connection, batch: UUID, left: tolerant.Found[Any], type: NotificationType
) -> tuple[int, int]:
    """Free the notifications still claimed in an ended batch, and settle those it was sending; those that
    cannot be read fail. Returns how many are free, and how many in doubt."""
    moment = now()
    readable, unreadable = [row.id for row in left.good], damaged_rows.ids_of(left.damaged)
    marked = _close_attempts(connection, readable + unreadable, moment)
    doubted = [row for row in left.good if row.id in marked]
    between = [id for id in readable if id not in marked]
    _settle(connection, doubted, type.when_in_doubt, batch, moment)
    _free(connection, between)
    damaged_rows.fail_unreadable(connection, left.damaged)
    return len(between), len(doubted)


def _in_hand(connection: sa.Connection, batch: UUID) -> tolerant.Found[Any]:
    """The claimed rows, locked: an outcome being written is committed first, and leaves no doubt."""
    table = notifications
    wanted = sa.select(table.c.id, table.c.type, table.c.in_doubt, table.c.expires_at).where(
        table.c.batch_id == batch, IN_HAND
    )
    return tolerant.each(connection, wanted.with_for_update(), [table.c.id], _with_doubts)


def _with_doubts(row: Any) -> Any:
    damaged_rows.check_counts(row.in_doubt)
    return row


def _close_attempts(connection: sa.Connection, ids: Sequence[UUID], moment: datetime) -> set[UUID]:
    """Mark the attempts without an outcome UNKNOWN. Returns the notifications they belong to; the others were
    between two attempts, so not being sent."""
    if not ids:
        return set()
    return set(
        connection.scalars(
            sa.update(attempts)
            .where(in_ids(attempts.c.notification_id, ids), attempts.c.finished_at.is_(None))
            .values(verdict=Verdict.UNKNOWN, phase=Phase.DOT, words=LOST, finished_at=moment)
            .returning(attempts.c.notification_id)
        )
    )


def _settle(
    connection: sa.Connection,
    doubted: Sequence[sa.Row[Any]],
    doubt: Doubt,
    batch: UUID,
    moment: datetime,
) -> None:
    by_decision: dict[Decision, list[UUID]] = {}
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
            .where(in_ids(notifications.c.id, ids))
            .values(in_doubt=notifications.c.in_doubt + 1, **values)
        )
        if decision.state in TERMINAL:
            copy_end_to_items(connection, ids, values)
        note_events(connection, ids, "run lost", f"{LOST}: {decision.state}", batch)


def _free(connection: sa.Connection, ids: Sequence[UUID]) -> None:
    if ids:
        connection.execute(
            sa.update(notifications).where(in_ids(notifications.c.id, ids)).values(state=State.ACCEPTED)
        )
