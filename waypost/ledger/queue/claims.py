"""Handing notifications to runs, each to one run only.

`lanes` lists the lanes with waiting notifications. `reserve` claims due notifications as a batch for a future
run. That run calls `take_up`, which takes the batch and adds notifications that became due since. A batch is
taken up once: if two workers get the same run, one of them sends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.notify import announce_work
from waypost.ledger.database.tables import (
    IN_HAND,
    ITS_RECIPIENT,
    WAITING,
    batches,
    holds,
    notifications,
    recipients,
)
from waypost.ledger.queue import damaged_rows
from waypost.ledger.queue.batches import OWNER, open_batch
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.ledger.queue.holds import active_hold, lock_out_holds, release_claimed
from waypost.ledger.records.recipients import FORGOTTEN
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.model.notification_type import BATCH_SIZE
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.policy.suspicion import together
from waypost.system.clock import now
from waypost.system.ids import new_id

CLAIM_LIMIT = BATCH_SIZE
logger = logging.getLogger("waypost.ledger")


@dataclass(frozen=True, slots=True)
class Lane:
    """The waiting notifications of one type and priority. due_at: when the first of them is or was due."""

    type: str
    priority: Priority
    due_at: datetime


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
    """The notifications a run took up. reason: why there are none, or how many rows could not be read."""

    notifications: list[Notification]
    reason: str = ""
    refused: bool = False


async def lanes(ledger: Ledger, types: Iterable[str]) -> list[Lane]:
    """The lanes of `types` with waiting notifications, due or not, the most urgent first; no held types.

    One index lookup per lane: the cost does not grow with the ledger. A notification whose due time is not
    a valid moment fails here.
    """
    types = tuple(types)
    await damaged_rows.reassign_unknown_lanes(ledger, types)
    while True:
        found = await ledger.read(lambda connection: _look(connection, types))
        blind = [(type, priority) for type, priority, due_at in found if due_at is None]
        if not blind or not await ledger.write(partial(_clear, blind=blind)):
            break
    waiting = [Lane(type, Priority(priority), due_at) for type, priority, due_at in found if due_at]
    return sorted(waiting, key=lambda lane: (lane.priority.rank, lane.due_at))


def _look(connection: sa.Connection, types: tuple[str, ...]) -> list[tuple[str, str, datetime | None]]:
    """Each lane with waiting notifications, and when its first is due; None where that is not a moment."""
    is_postgres = connection.dialect.name == "postgresql"
    with tolerant.forgiving(connection):
        rows = connection.execute(_looks(types, is_postgres)).all()
    return [(row.type, row.priority, damaged_rows.moment(row.due_at)) for row in rows]


def _clear(connection: sa.Connection, blind: Sequence[tuple[str, str]]) -> int:
    return sum(damaged_rows.fail_never_due(connection, type, priority) for type, priority in blind)


@lru_cache(16)
def _looks(types: tuple[str, ...], is_postgres: bool) -> sa.Select[Any]:
    """The statement of `lanes`, cached, as building it takes longer than running it."""
    looks = [
        sa.select(
            sa.literal(type).label("type"),
            sa.literal(str(priority)).label("priority"),
            sa.select(sa.func.min(notifications.c.due_at))
            .where(notifications.c.type == type, notifications.c.priority == str(priority), WAITING)
            .scalar_subquery()
            .label("due_at"),
        )
        for type in types
        for priority in Priority
    ]
    found = sa.union_all(*looks).subquery()
    due_at = damaged_rows.readable_moment(found.c.due_at, is_postgres).label("due_at")
    return sa.select(found.c.type, found.c.priority, due_at).where(
        found.c.due_at.is_not(None), found.c.type.not_in(sa.select(holds.c.type))
    )


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
    not_held = sa.not_(sa.exists().where(holds.c.type == type))
    rows = connection.execute(_due(type, priority, moment).where(not_held).limit(limit)).all()
    expire(connection, [row.id for row in rows if row.late], moment)
    fresh = [row for row in rows if not row.late]
    if uncountable := [row.id for row in fresh if not damaged_rows.is_plausible_count(row.tries)]:
        damaged_rows.fail(connection, uncountable)
        fresh = [row for row in fresh if damaged_rows.is_plausible_count(row.tries)]
    if not fresh:
        return len(rows), None
    tries, suspicion = fresh[0].tries, fresh[0].suspicion
    alike = [row.id for row in fresh if row.tries == tries and row.suspicion == suspicion]
    ids = alike[: together(suspicion, limit)]
    batch = open_batch(connection, ledger, type, priority, len(ids))
    _claim(connection, ids, batch)
    return len(rows), Claim(batch, type, priority, len(ids), tries + 1, suspicion)


def _due(type: str, priority: str, moment: datetime) -> sa.Select[Any]:
    """The due notifications of a lane that no other transaction is claiming, the oldest first."""
    table = notifications
    return (
        sa.select(table.c.id, table.c.tries, table.c.suspicion, (table.c.expires_at <= moment).label("late"))
        .where(
            table.c.type == type,
            table.c.priority == str(priority),
            WAITING,
            table.c.due_at <= moment,
        )
        .order_by(table.c.due_at)
        .with_for_update(skip_locked=True)
    )


def _claim(connection: sa.Connection, ids: Sequence[UUID], batch: UUID) -> None:
    """ids: of rows that `_due` has locked."""
    connection.execute(
        sa.update(notifications)
        .where(in_ids(notifications.c.id, ids))
        .values(state=State.CLAIMED, batch_id=batch)
    )


def expire(connection: sa.Connection, ids: Sequence[UUID], moment: datetime) -> None:
    """Expire `ids`, which are past their deadline; the items of a digest share its end."""
    if ids:
        values = {
            "state": State.EXPIRED,
            "reason": "deadline passed before it could go",
            "finished_at": moment,
        }
        connection.execute(sa.update(notifications).where(in_ids(notifications.c.id, ids)).values(values))
        copy_end_to_items(connection, ids, values)


async def take_up(
    ledger: Ledger,
    type: str,
    batch: UUID,
    *,
    flow_run_id: UUID | None = None,
    limit: int = 0,
    default_locale: str = "en",
    default_timezone: str = "UTC",
) -> TakenBatch:
    """Take up a batch, once. Members that expired since the claim end here; a row that cannot be read fails
    alone. If the batch does not exist, is of another type, has ended or was taken up before, the result is
    empty and its reason says why. If its type was held meanwhile, its members go back to waiting.

    limit: fill the batch up to this size with notifications of its lane that became due since the claim:
    Prefect needs a few hundred milliseconds from a run's creation to its first line.
    """
    token = new_id()

    def work(connection: sa.Connection) -> TakenBatch:
        lock_out_holds(connection, type)
        refused = _take_up(connection, ledger, type, batch, token, flow_run_id)
        if refused:
            return TakenBatch([], refused, refused=True)
        if (held := active_hold(connection, type)) is not None:
            release_claimed(connection, held, notifications.c.batch_id == batch)
            return TakenBatch([], f"{type} is held: {held.reason or 'no reason was given'}")
        moment = now()
        _fill_up(connection, batch, limit, moment)
        rows, broken = _read(connection, batch)
        late: list[UUID] = []
        forgotten: list[UUID] = []
        found: list[Notification] = []
        for row in rows:
            if row.expires_at <= moment:
                late.append(row.id)
            elif row.key is None or row.named == {}:
                forgotten.append(row.id)
            elif (one := _notification(row, default_locale, default_timezone)) is None:
                broken.append(row.id)
            else:
                found.append(one)
        expire(connection, late, moment)
        damaged_rows.fail(connection, broken)
        damaged_rows.fail(connection, forgotten, FORGOTTEN)
        return TakenBatch(found, f"{len(broken)} rows could not be read, and failed" if broken else "")

    return await ledger.write_until_durable(work)


def _take_up(
    connection: sa.Connection, ledger: Ledger, type: str, batch: UUID, token: UUID, flow_run_id: UUID | None
) -> str:
    """Mark the batch taken. Returns why that is refused; empty when it is not."""
    moment = now()
    values: dict[str, Any] = {
        "taken_at": moment,
        "taken_by": token,
        "owner": OWNER,
        "leased_until": moment + ledger.lease,
    }
    if flow_run_id is not None:
        values["flow_run_id"] = flow_run_id
    taken = connection.execute(
        sa.update(batches)
        .where(
            batches.c.id == batch,
            batches.c.type == type,
            batches.c.ended_at.is_(None),
            sa.or_(batches.c.taken_at.is_(None), batches.c.taken_by == token),
        )
        .values(**values)
    )
    if taken.rowcount:
        return ""
    known = connection.execute(sa.select(batches).where(batches.c.id == batch)).one_or_none()
    if known is None:
        return f"there is no batch {batch}"
    if known.type != type:
        return f"batch {batch} is of type {known.type}, not {type}"
    if known.ended_at is not None:
        return f"batch {batch} has ended ({known.ending})"
    return f"batch {batch} belongs to another run"


def _fill_up(connection: sa.Connection, batch: UUID, limit: int, moment: datetime) -> None:
    """Claim into `batch` due notifications of its lane with the same attempt number and suspicion."""
    member = (
        sa.select(
            notifications.c.type,
            notifications.c.priority,
            notifications.c.tries,
            notifications.c.suspicion,
            sa.select(batches.c.size).where(batches.c.id == batch).scalar_subquery().label("size"),
        )
        .where(notifications.c.batch_id == batch, IN_HAND)
        .limit(1)
    )
    like = connection.execute(member).one_or_none()
    if like is None:
        return
    room = max(0, min(limit, together(like.suspicion, limit)) - like.size)
    due = _due(like.type, like.priority, moment).where(
        notifications.c.tries == like.tries,
        notifications.c.suspicion == like.suspicion,
        notifications.c.expires_at > moment,
    )
    ids = [row.id for row in connection.execute(due.limit(room)).all()] if room else []
    if ids:
        _claim(connection, ids, batch)
        connection.execute(
            sa.update(batches).where(batches.c.id == batch).values(size=batches.c.size + len(ids))
        )
    if len(ids) == room:
        announce_work(connection)  # more may be due, and the next run need not wait for this one


_OURS = (
    sa.select(
        notifications.c.id,
        notifications.c.type,
        notifications.c.priority,
        notifications.c.data,
        notifications.c.occurrences,
        notifications.c.accepted_at,
        notifications.c.expires_at,
        notifications.c.step,
        notifications.c.tries,
        notifications.c.in_doubt,
        notifications.c.channels,
        notifications.c.named,
        recipients.c.key,
        recipients.c.email,
        recipients.c.phone,
        recipients.c.name,
        recipients.c.locale,
        recipients.c.timezone,
    )
    .join(recipients, ITS_RECIPIENT, isouter=True)
    .where(IN_HAND, notifications.c.state == State.CLAIMED)
)


def _read(connection: sa.Connection, batch: UUID) -> tuple[list[sa.Row[Any]], list[UUID]]:
    """The batch's rows with their recipients, and the ids of those that cannot be read."""
    ours = _OURS.where(notifications.c.batch_id == batch).order_by(notifications.c.due_at, notifications.c.id)
    try:
        return list(connection.execute(ours).all()), []
    except damaged_rows.Unreadable as error:
        logger.error("a row of batch %s cannot be read (%s); reading one by one", batch, type(error).__name__)
    rows: list[sa.Row[Any]] = []
    broken: list[UUID] = []
    for id in connection.scalars(ours.with_only_columns(notifications.c.id)).all():
        try:
            rows.append(connection.execute(_OURS.where(notifications.c.id == id)).one())
        except damaged_rows.Unreadable:
            broken.append(id)
    return rows, broken


def _notification(row: Any, default_locale: str, default_timezone: str) -> Notification | None:
    """None when the row holds values that no notification can have."""
    (
        id, type, priority, data, count, accepted_at, expires_at, step, tries, in_doubt,
        channels, named, key, email, phone, name, locale, timezone,
    ) = row  # fmt: skip
    if not damaged_rows.is_valid(
        data, priority, (count, step, tries, in_doubt), accepted_at, expires_at, named
    ):
        return None
    own = cast("dict[str, Any]", named or {}).get
    return Notification(
        id=id,
        type=type,
        priority=Priority(priority),
        recipient=ResolvedRecipient(
            key=key,
            email=own("email", email),
            phone=own("phone", phone),
            name=own("name", name) or "",
            locale=own("locale", locale) or default_locale,
            timezone=own("timezone", timezone) or default_timezone,
        ),
        data=data,
        count=count,
        accepted_at=accepted_at,
        expires_at=expires_at,
        step=max(step, 0),
        tries=max(tries, 0),
        in_doubt=in_doubt,
        channels=cast(list[str], channels) if isinstance(channels, list) else None,
    )
