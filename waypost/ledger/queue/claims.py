"""Handing notifications to runs, each to one run only.

`reserve` claims due notifications as a batch for a future run. That run calls `take_up`, which takes the
batch and adds notifications that became due since. A batch is taken up once: if two workers get the same run,
one of them sends.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any, NamedTuple, cast
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.steps import MOST_BYTES, read_bytes
from waypost.ledger.database.tables import (
    IN_HAND,
    WAITING,
    Id,
    UtcDateTime,
    batches,
    holds,
    notifications,
)
from waypost.ledger.queue import damaged_rows, permissions
from waypost.ledger.queue.batches import open_batch, owner
from waypost.ledger.queue.expiry import expire
from waypost.ledger.queue.holds import active_hold, lock_out_holds, release_claimed, waits_in_words
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.ledger.queue.recipient_rows import WITH_RECIPIENT, notification_of, opened
from waypost.ledger.records.recipients import FORGOTTEN
from waypost.model.batch import Ended
from waypost.model.notification import Notification
from waypost.model.notification_type import BATCH_SIZE
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.policy.poison_item import together
from waypost.system.clock import now
from waypost.system.ids import new_id

CLAIM_LIMIT = BATCH_SIZE
HAS_ENDED = "has ended ({})"
TOO_LATE = "the deadline passed before it was sent"
logger = logging.getLogger("waypost.ledger")


@dataclass(frozen=True, slots=True)
class Claim:
    """A batch claimed for a future run. attempt: the number of its members' next attempt, from 1.
    suspicion: its members' suspicion of ending their runs; the same for all."""

    id: UUID
    type: str
    priority: Priority
    size: int
    attempt: int
    suspicion: int = 0


@dataclass(frozen=True, slots=True)
class TakenBatch:
    """The notifications a run took up. ended: those that ended instead. reason: why there are none. refused:
    the batch is not this run's. wrong: there is no batch of that id and type. held: the type is held."""

    notifications: list[Notification]
    reason: str = ""
    refused: bool = False
    wrong: bool = False
    ended: list[Ended] = field(default_factory=list[Ended])
    held: bool = False


async def reserve(ledger: Ledger, type: str, priority: Priority, limit: int = CLAIM_LIMIT) -> Claim | None:
    """Claim due notifications of a lane as a batch, the oldest first; None without any. All have the same
    attempt number and suspicion (a suspicion makes batches smaller). Those past their deadline expire here.
    """
    while True:
        seen, claim = await ledger.write(
            lambda connection: _reserve(connection, ledger, type, priority, limit)
        )
        if claim is not None or not seen:
            return claim


def _reserve(
    connection: sa.Connection, ledger: Ledger, type: str, priority: Priority, limit: int
) -> tuple[int, Claim | None]:
    moment = now()
    given = {"type": type, "priority": str(priority), "moment": moment, "limit": limit}
    rows, damaged = _read_due(connection, _due(ledger.is_postgres, _NOT_HELD), given)
    expire(connection, [row.id for row in rows if row.late], TOO_LATE, moment)
    fresh = [row for row in rows if not row.late]
    if not fresh:
        return len(rows) + len(damaged), None
    tries, suspicion = fresh[0].tries, fresh[0].suspicion
    alike = [row for row in fresh if row.tries == tries and row.suspicion == suspicion]
    ids = _first_ids(alike[: together(suspicion, limit)], MOST_BYTES)
    batch = open_batch(connection, ledger, type, priority, len(ids))
    _claim(connection, ids, batch)
    return len(rows), Claim(batch, type, priority, len(ids), tries + 1, suspicion)


class _Due(NamedTuple):
    """A due notification. bytes: of its data."""

    id: UUID
    tries: int
    suspicion: int
    late: bool
    bytes: int


def _read_due(
    connection: sa.Connection, due: sa.Select[Any], given: Mapping[str, Any]
) -> tolerant.Found[_Due]:
    """The rows that `due` selects with the parameters `given`. Those that cannot be read fail here."""
    found = tolerant.each(connection, due, [notifications.c.id], _with_counts, given)
    damaged_rows.fail_unreadable(connection, found.damaged)
    return found


def _with_counts(row: Any) -> _Due:
    due = _Due(*row)
    damaged_rows.check_counts(due.tries, due.suspicion)
    return due


def _first_ids(rows: Sequence[_Due], room: int) -> list[UUID]:
    """The ids of the first rows, whose data fit into `room` bytes together; one in any case. A run's data are
    parsed at once, and SQLite writes a claimed row anew with its data."""
    fitting = bisect_right(list(accumulate(row.bytes for row in rows)), room)
    return [row.id for row in rows[: max(fitting, 1)]]


_NOT_HELD = (sa.not_(sa.exists().where(holds.c.type == sa.bindparam("type"))),)
_LIKE_MEMBERS = (
    notifications.c.tries == sa.bindparam("tries"),
    notifications.c.suspicion == sa.bindparam("suspicion"),
    notifications.c.expires_at > sa.bindparam("moment"),
)


# Statements are built once: building one takes longer than sending it.
@lru_cache(4)
def _due(is_postgres: bool, conditions: tuple[sa.ColumnElement[bool], ...]) -> sa.Select[Any]:
    """The due notifications of a lane that no other transaction is claiming, the oldest first."""
    table, moment = notifications, sa.bindparam("moment", type_=UtcDateTime())
    return (
        sa.select(
            table.c.id,
            table.c.tries,
            table.c.suspicion,
            (table.c.expires_at <= moment).label("late"),
            read_bytes(is_postgres).label("bytes"),
        )
        .where(
            table.c.type == sa.bindparam("type"),
            table.c.priority == sa.bindparam("priority"),
            WAITING,
            table.c.due_at <= moment,
            *conditions,
        )
        .order_by(table.c.due_at)
        .limit(sa.bindparam("limit", type_=sa.Integer()))
        .with_for_update(skip_locked=True)
    )


_CLAIM = (
    sa.update(notifications)
    .where(in_ids(notifications.c.id, "ids"))
    .values(state=State.CLAIMED, batch_id=sa.bindparam("batch"))
)


def _claim(connection: sa.Connection, ids: Sequence[UUID], batch: UUID) -> None:
    """ids: of rows that `_due` has locked."""
    connection.execute(_CLAIM, {"ids": ids, "batch": batch})


async def take_up(
    ledger: Ledger,
    type: str,
    batch: UUID,
    *,
    flow_run_id: UUID | None = None,
    limit: int = 0,
    default_locale: str = "en",
    default_timezone: str = "UTC",
    policy: SendingPolicy | None = None,
) -> TakenBatch:
    """Take up a batch, once. Members that expired since the claim end here; a row that cannot be read fails
    alone. If the batch does not exist, is of another type, has ended or was taken up before, the result is
    empty and its reason says why. If its type was held meanwhile, its members go back to waiting.

    policy: what its recipients may choose; None asks nobody. What may not be sent ends here, and what has to
    wait is deferred.
    limit: fill the batch up to this size with notifications of its lane that became due since the claim:
    Prefect needs a few hundred milliseconds from a run's creation to its first line.
    """
    token = new_id()

    def work(connection: sa.Connection) -> TakenBatch:
        lock_out_holds(connection, type)
        refused = _take_up(connection, ledger, type, batch, token, flow_run_id)
        if refused:
            return refused
        if (held := active_hold(connection, type)) is not None:
            release_claimed(connection, held, notifications.c.batch_id == batch)
            return TakenBatch([], waits_in_words(connection, held), held=True)
        moment, usual = now(), policy.usual_rule if policy else ""
        _fill_up(connection, batch, limit, moment)
        rows, damaged = _read(connection, batch)
        damaged_rows.fail_unreadable(connection, damaged)
        broken: list[Any] = []
        late: list[Any] = []
        forgotten: list[Any] = []
        found: list[Notification] = []
        for row in rows:
            if row.expires_at <= moment:
                late.append(row)
            elif row.key is None or row.named == {}:
                forgotten.append(row)
            elif (one := notification_of(row, default_locale, default_timezone, usual)) is None:
                broken.append(row)
            else:
                found.append(one)
        expire(connection, _ids(late), TOO_LATE, moment)
        damaged_rows.fail(connection, _ids(broken))
        damaged_rows.fail(connection, _ids(forgotten), FORGOTTEN)
        ended = [
            *_ended(late, State.EXPIRED, TOO_LATE),
            *_ended(forgotten, State.FAILED, FORGOTTEN),
            *_ended(broken, State.FAILED, damaged_rows.CANNOT_BE_READ),
            *(_unreadable(one) for one in damaged),
        ]
        if policy is None:
            return TakenBatch(found, ended=ended)
        asked = {row.id: row for row in rows}
        allowed, stopped = permissions.ask(connection, policy, found, asked, moment, batch)
        return TakenBatch(allowed, ended=[*ended, *stopped])

    return await ledger.write_until_durable(work)


def _ids(rows: Sequence[Any]) -> list[UUID]:
    return [row.id for row in rows]


def _ended(rows: Sequence[Any], state: State, reason: str) -> list[Ended]:
    return [Ended(row.id, state, reason, *_recipient(row)) for row in rows]


def _recipient(row: Any) -> tuple[str, str | None, str | None]:
    """Key, email and phone of a row whose values may be damaged."""
    named: Any = row.named
    own = cast("dict[str, Any]", named) if isinstance(named, dict) else {}
    found = row.key, own.get("email", row.email), own.get("phone", row.phone)
    key, email, phone = (one if isinstance(one, str) else None for one in found)
    return key or "", email, phone


def _unreadable(damaged: tolerant.Damaged) -> Ended:
    id = next(iter(damaged_rows.ids_of([damaged])), None)
    return Ended(id, State.FAILED, damaged_rows.CANNOT_BE_READ)


def _take_up(
    connection: sa.Connection, ledger: Ledger, type: str, batch: UUID, token: UUID, flow_run_id: UUID | None
) -> TakenBatch | None:
    """Mark the batch taken. Returns why that is refused; None when it is not."""
    moment = now()
    given = {
        "batch": batch,
        "of": type,
        "token": token,
        "moment": moment,
        "_owner": owner(),
        "_leased_until": moment + ledger.lease,
        "run": flow_run_id,
    }
    if connection.execute(_TAKEN, given).rowcount:
        return None
    known = connection.execute(sa.select(batches).where(batches.c.id == batch)).one_or_none()
    if known is None:
        return TakenBatch([], f"batch {batch} does not exist", refused=True, wrong=True)
    if known.type != type:
        why = f"batch {batch} is of type {known.type}, not {type}"
        return TakenBatch([], why, refused=True, wrong=True)
    if known.ended_at is not None:
        return TakenBatch([], f"batch {batch} {HAS_ENDED.format(known.ending)}", refused=True)
    why = f"batch {batch} belongs to another run; if its worker was lost, a later run sends the rest"
    return TakenBatch([], why, refused=True)


_TAKEN = (
    sa.update(batches)
    .where(
        batches.c.id == sa.bindparam("batch"),
        batches.c.type == sa.bindparam("of"),
        batches.c.ended_at.is_(None),
        sa.or_(batches.c.taken_at.is_(None), batches.c.taken_by == sa.bindparam("token")),
    )
    .values(
        taken_at=sa.bindparam("moment"),
        taken_by=sa.bindparam("token"),
        owner=sa.bindparam("_owner"),
        leased_until=sa.bindparam("_leased_until"),
        flow_run_id=sa.func.coalesce(sa.bindparam("run", type_=Id), batches.c.flow_run_id),
    )
)


def _fill_up(connection: sa.Connection, batch: UUID, limit: int, moment: datetime) -> None:
    """Claim into `batch` due notifications of its lane with the same attempt number and suspicion."""
    like = connection.execute(_MEMBER, {"batch": batch}).one_or_none()
    if like is None:
        return
    room = max(0, min(limit, together(like.suspicion, limit)) - like.size)
    given = {
        "type": like.type,
        "priority": like.priority,
        "tries": like.tries,
        "suspicion": like.suspicion,
        "moment": moment,
        "limit": room,
    }
    found = _read_due(connection, _due(is_postgres(connection), _LIKE_MEMBERS), given).good if room else []
    left = MOST_BYTES - _bytes_in(connection, batch) if found else 0
    ids = _first_ids(found, left) if found and found[0].bytes <= left else []
    if ids:
        _claim(connection, ids, batch)
        connection.execute(
            sa.update(batches).where(batches.c.id == batch).values(size=batches.c.size + len(ids))
        )
    if len(ids) == room:
        announce_work(connection)  # more may be due, and the next run need not wait for this one


# The lane and the counts of a batch's members.
_MEMBER = (
    sa.select(
        notifications.c.type,
        notifications.c.priority,
        notifications.c.tries,
        notifications.c.suspicion,
        sa.select(batches.c.size)
        .where(batches.c.id == sa.bindparam("batch"))
        .scalar_subquery()
        .label("size"),
    )
    .where(notifications.c.batch_id == sa.bindparam("batch"), IN_HAND)
    .limit(1)
)


def _bytes_in(connection: sa.Connection, batch: UUID) -> int:
    size = sa.func.sum(read_bytes(is_postgres(connection)))
    ours = sa.select(size).where(notifications.c.batch_id == batch, IN_HAND)
    return int(connection.scalar(ours) or 0)


_OURS = (
    WITH_RECIPIENT.where(
        IN_HAND, notifications.c.state == State.CLAIMED, notifications.c.batch_id == sa.bindparam("batch")
    )
    .order_by(notifications.c.due_at, notifications.c.id)
    .with_for_update(of=notifications)
)


def _read(connection: sa.Connection, batch: UUID) -> tolerant.Found[Any]:
    """The batch's rows with their recipients, and those that cannot be read. The rows are locked: nobody
    cancels them between this look and the end that they may be given."""
    box = sealing.of(connection)
    box.check(connection)
    found = tolerant.each(connection, _OURS, [notifications.c.id], partial(opened, box), {"batch": batch})
    if found.damaged:  # perhaps it is this process that lacks a key
        box.check(connection, again=True)
    return found
