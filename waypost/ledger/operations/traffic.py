"""Traffic: how many notifications were accepted and ended in each minute, and how long they took.

A look reads the minutes that it asks for and no more, by an index. So a large ledger costs a look nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import notifications
from waypost.ledger.operations.search import ACCEPTED_WITHIN
from waypost.mail.masking import mask_in
from waypost.model.states import State
from waypost.policy.retry import NO_TIME_LEFT
from waypost.system.ids import first_id

SAMPLE = 500  # of the sent notifications of a look, the newest: the times of all would have to be sorted
MINUTE = timedelta(minutes=1)
ACCEPTED = "accepted"

Key = tuple[datetime, str]  # a minute and a type


@dataclass(slots=True)
class Minutes:
    """What happened in some minutes. counts: by minute, type, and either "accepted" or the state in which
    notifications ended. seconds: a sample of the times from due to sent."""

    counts: dict[tuple[datetime, str, str], int] = field(default_factory=dict[tuple[datetime, str, str], int])
    seconds: dict[Key, list[float]] = field(default_factory=dict[Key, list[float]])


async def read(ledger: Ledger, since: datetime, until: datetime) -> Minutes:
    """What happened from `since` to `until`, both at the begin of a minute."""
    return await ledger.browse(lambda connection: _read(connection, since, until))


def _read(connection: sa.Connection, since: datetime, until: datetime) -> Minutes:
    found = Minutes()
    for rows in (_accepted(connection, since, until), _ended(connection, since, until)):
        for minute, type, what, count in rows:
            if (at := _minute(minute)) is not None:
                found.counts[at, tolerant.text(type), str(what)] = count
    for type, seconds, at in _times(connection, since, until):
        found.seconds.setdefault((at, type), []).append(seconds)
    return found


def _accepted(connection: sa.Connection, since: datetime, until: datetime) -> Iterable[Any]:
    """By the primary key: an id holds the time of its request, which is shortly before it is accepted."""
    table = notifications.c
    minute, type = _minute_of(connection, table.accepted_at), tolerant.raw(table.type)
    wanted = sa.select(minute, *type, sa.literal_column(f"'{ACCEPTED}'"), sa.func.count()).where(
        table.id >= first_id(since - MINUTE),
        table.id < first_id(until + ACCEPTED_WITHIN),
        table.accepted_at >= since,
        table.accepted_at < until,
    )
    return tolerant.read(connection, wanted.group_by(minute, table.type))


def _ended(connection: sa.Connection, since: datetime, until: datetime) -> Iterable[Any]:
    table = notifications.c
    minute = _minute_of(connection, table.finished_at)
    wanted = sa.select(minute, *tolerant.raw(table.type, table.state), sa.func.count())
    wanted = wanted.where(*_ended_between(since, until))
    return tolerant.read(connection, wanted.group_by(minute, table.type, table.state))


def _times(
    connection: sa.Connection, since: datetime, until: datetime
) -> Iterable[tuple[str, float, datetime]]:
    """The seconds of the newest notifications sent: since each was due, or, if it was tried before, since it
    was accepted."""
    table = notifications.c
    columns = tolerant.raw(table.type, table.accepted_at, table.due_at, table.finished_at, table.tries)
    wanted = (
        sa.select(*columns)
        .where(*_ended_between(since, until), table.state == State.SENT)
        .order_by(table.finished_at.desc())
        .limit(SAMPLE)
    )
    for row in tolerant.read(connection, wanted):
        began = tolerant.moment(row.accepted_at if row.tries != 1 else row.due_at)
        ended = tolerant.moment(row.finished_at)
        if isinstance(began, datetime) and isinstance(ended, datetime):
            minute = ended.replace(second=0, microsecond=0)
            yield tolerant.text(row.type), max(0.0, (ended - began).total_seconds()), minute


def _ended_between(since: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    ended_at = notifications.c.finished_at
    return sa.text("finished_at IS NOT NULL"), ended_at >= since, ended_at < until  # type: ignore[return-value]


def _minute_of(connection: sa.Connection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The minute of a moment as text."""
    if is_postgres(connection):
        return sa.func.to_char(sa.func.timezone("UTC", column), "YYYY-MM-DD HH24:MI")
    return sa.func.substr(sa.type_coerce(column, sa.Text()), 1, 16)


def _minute(text: Any) -> datetime | None:
    found = tolerant.moment(text)
    return found if isinstance(found, datetime) else None


async def missed(ledger: Ledger, since: datetime, until: datetime) -> dict[str, tuple[int, str]]:
    """The notifications whose deadline passed before they were delivered, of those that ended in this time:
    by type, how many, and the reason of one of them."""
    table = notifications.c
    late = sa.or_(table.state == State.EXPIRED, table.reason.startswith(NO_TIME_LEFT))
    wanted = (
        sa.select(*tolerant.raw(table.type), sa.func.count(), sa.func.min(table.reason))
        .where(*_ended_between(since, until), late, table.state.in_((State.EXPIRED, State.FAILED)))
        .group_by(table.type)
    )
    rows = await ledger.browse(lambda connection: tolerant.read(connection, wanted))
    return {tolerant.text(type): (count, mask_in(tolerant.text(reason))) for type, count, reason in rows}
