"""Handing notifications to runs, each to one run only.

`reserve` claims due notifications as a batch for a future run. That run calls `take_up`, which takes the
batch and adds notifications that became due since. A batch is taken up once: if two workers get the same run,
one of them sends.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.announcement import announce_work
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.steps import MOST_BYTES, portions, read_bytes
from waypost.ledger.database.tables import (
    IN_HAND,
    ITS_RECIPIENT,
    WAITING,
    batches,
    holds,
    notifications,
    recipients,
)
from waypost.ledger.queue import damaged_rows, permissions
from waypost.ledger.queue.batches import open_batch, owner
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.ledger.queue.holds import active_hold, lock_out_holds, release_claimed, waits_in_words
from waypost.ledger.queue.permissions import SendingPolicy
from waypost.ledger.records.recipients import FORGOTTEN
from waypost.model.batch import Ended
from waypost.model.brand import DEFAULT
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.model.notification_type import BATCH_SIZE
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.policy.suspicion import together
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
    not_held = sa.not_(sa.exists().where(holds.c.type == type))
    due = _due(connection, type, priority, moment).where(not_held).limit(limit)
    rows, damaged = _read_due(connection, due)
    expire(connection, [row.id for row in rows if row.late], moment)
    fresh = [row for row in rows if not row.late]
    if not fresh:
        return len(rows) + len(damaged), None
    tries, suspicion = fresh[0].tries, fresh[0].suspicion
    alike = [row for row in fresh if row.tries == tries and row.suspicion == suspicion]
    ids = _first_ids(alike[: together(suspicion, limit)], MOST_BYTES)
    batch = open_batch(connection, ledger, type, priority, len(ids))
    _claim(connection, ids, batch)
    return len(rows), Claim(batch, type, priority, len(ids), tries + 1, suspicion)


def _read_due(connection: sa.Connection, due: sa.Select[Any]) -> tolerant.Found[Any]:
    """The rows that `due` selects. Those that cannot be read fail here."""
    found = tolerant.each(connection, due, [notifications.c.id], _with_counts)
    damaged_rows.fail_unreadable(connection, found.damaged)
    return found


def _with_counts(row: Any) -> Any:
    damaged_rows.check_counts(row.tries, row.suspicion)
    return row


def _first_ids(rows: Sequence[sa.Row[Any]], room: int) -> list[UUID]:
    """The ids of the first rows, whose data fit into `room` bytes together; one in any case. A run's data are
    parsed at once, and SQLite writes a claimed row anew with its data."""
    return [row.id for row in portions(rows, lambda row: row.bytes, most=len(rows), most_bytes=room)[0]]


def _due(connection: sa.Connection, type: str, priority: str, moment: datetime) -> sa.Select[Any]:
    """The due notifications of a lane that no other transaction is claiming, the oldest first."""
    table = notifications
    size = read_bytes(connection.dialect.name == "postgresql").label("bytes")
    late = (table.c.expires_at <= moment).label("late")
    return (
        sa.select(table.c.id, table.c.tries, table.c.suspicion, late, size)
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
            "reason": TOO_LATE,
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
        expire(connection, _ids(late), moment)
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
        due = {row.id: row.due_at for row in rows}
        allowed, stopped = permissions.ask(connection, policy, found, due, moment, batch)
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
    values: dict[str, Any] = {
        "taken_at": moment,
        "taken_by": token,
        "owner": owner(),
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
    due = _due(connection, like.type, like.priority, moment).where(
        notifications.c.tries == like.tries,
        notifications.c.suspicion == like.suspicion,
        notifications.c.expires_at > moment,
    )
    found = _read_due(connection, due.limit(room)).good if room else []
    left = MOST_BYTES - _bytes_in(connection, batch) if found else 0
    ids = _first_ids(found, left) if found and found[0].bytes <= left else []
    if ids:
        _claim(connection, ids, batch)
        connection.execute(
            sa.update(batches).where(batches.c.id == batch).values(size=batches.c.size + len(ids))
        )
    if len(ids) == room:
        announce_work(connection)  # more may be due, and the next run need not wait for this one


def _bytes_in(connection: sa.Connection, batch: UUID) -> int:
    size = sa.func.sum(read_bytes(connection.dialect.name == "postgresql"))
    ours = sa.select(size).where(notifications.c.batch_id == batch, IN_HAND)
    return int(connection.scalar(ours) or 0)


WITH_RECIPIENT = sa.select(
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
    notifications.c.client,
    notifications.c.brand,
    notifications.c.due_at,
    recipients.c.link_generation,
    recipients.c.key,
    recipients.c.email,
    recipients.c.phone,
    recipients.c.name,
    recipients.c.locale,
    recipients.c.timezone,
).join(recipients, ITS_RECIPIENT, isouter=True)
_OURS = WITH_RECIPIENT.where(IN_HAND, notifications.c.state == State.CLAIMED)


def _read(connection: sa.Connection, batch: UUID) -> tolerant.Found[Any]:
    """The batch's rows with their recipients, and those that cannot be read."""
    ours = _OURS.where(notifications.c.batch_id == batch).order_by(notifications.c.due_at, notifications.c.id)
    box = sealing.of(connection)
    box.check(connection)
    found = tolerant.each(connection, ours, [notifications.c.id], partial(opened, box))
    if found.damaged:  # perhaps it is this process that lacks a key
        box.check(connection, again=True)
    return found


class Opened(NamedTuple):
    """A row of `WITH_RECIPIENT`, with its personal data."""

    id: UUID
    type: Any
    priority: Any
    data: Any
    occurrences: Any
    accepted_at: datetime
    expires_at: datetime
    step: Any
    tries: Any
    in_doubt: Any
    channels: Any
    named: Any
    client: Any
    brand: Any
    due_at: datetime
    link_generation: Any
    key: Any
    email: Any
    phone: Any
    name: Any
    locale: Any
    timezone: Any


def opened(box: Sealing, row: sa.Row[Any]) -> Opened:
    """What is on record of a recipient is opened where its request does not say it. Raises NotOpened."""
    values: list[Any] = list(row)
    own, whose = (values[_ID],), (values[_CLIENT] or "", values[_KEY])
    for at in (_DATA, _NAMED):
        values[at] = box.opened(notifications, own, _FIELDS[at], values[at])
    named: Any = values[_NAMED] or ()
    for at in _ON_RECORD:
        if _FIELDS[at] not in named:
            values[at] = box.opened(recipients, whose, _FIELDS[at], values[at])
    return Opened._make(values)


_FIELDS = Opened._fields
_ID, _DATA, _NAMED, _CLIENT, _KEY = map(_FIELDS.index, ("id", "data", "named", "client", "key"))
_ON_RECORD = tuple(map(_FIELDS.index, ("email", "phone", "name")))


def notification_of(
    row: Opened, default_locale: str, default_timezone: str, rule: str = ""
) -> Notification | None:
    """The notification of a row; None when the row holds values that no notification can
    have."""
    (
        id, type, priority, data, count, accepted_at, expires_at, step, tries, in_doubt,
        channels, named, client, brand, _, links, key, email, phone, name, locale, timezone,
    ) = row  # fmt: skip
    if not damaged_rows.is_valid(
        data, priority, (count, step, tries, in_doubt), accepted_at, expires_at, named, brand
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
        client=client if isinstance(client, str) else "",
        brand=brand or DEFAULT,
        rule=rule,
        link_generation=links if isinstance(links, int) else 0,
    )
