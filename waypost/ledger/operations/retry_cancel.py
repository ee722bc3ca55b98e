"""Retrying and cancelling notifications for a person.

`preview` counts what would change. Retry and cancel change at most a thousand notifications per transaction,
the items of their digests included, but always those of one whole digest. Every
change names the state it changes, so a notification that a worker moves in between is left as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.steps import portions, written_bytes
from waypost.ledger.database.tables import events, notifications
from waypost.ledger.operations.explanation import end_in_words
from waypost.ledger.operations.search import Filter, in_state, looks, parameters
from waypost.ledger.queue.digest_items import copy_to_items
from waypost.model.states import TERMINAL, State
from waypost.policy.poison_item import ALONE
from waypost.system.clock import now
from waypost.system.ids import new_id

AT_ONCE = 1000
ENDED_BADLY = (State.FAILED, State.EXPIRED)  # a cancellation has a line of its own

Deadlines = Mapping[str, timedelta]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Selection:
    """The number of selected notifications in one state. left: why they would be left unchanged; empty for
    those that would be changed. in_doubt: they are held because they may have been delivered."""

    state: str
    count: int
    left: str = ""
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether a notification can be retried or cancelled. later: its due time has not come."""

    state: str
    type: str
    in_digest: bool
    for_digest: bool
    later: bool = False


# In processing order: a notification that a worker moves meanwhile moves forward in it, hardly ever back.
RETRIED = (State.HELD, State.DEFERRED, State.EXPIRED, State.FAILED, State.CANCELLED)
CANCELLED = (State.HELD, State.DEFERRED, State.ACCEPTED, State.CLAIMED)

_NO_STATE = "in an unknown state"
_NOT_RETRIED: dict[str, str] = {
    State.SENT: "already sent",
    State.SENDING: "on the wire",
    State.CLAIMED: "already claimed by a run",
    State.ACCEPTED: "already waiting for a run",
    State.SUPPRESSED: "must not be sent",
}
_NOT_CANCELLED: dict[str, str] = {
    State.SENDING: "on the wire, so it cannot be cancelled",
    State.SENT: "already sent",
    **dict.fromkeys((State.SUPPRESSED, State.EXPIRED, State.FAILED, State.CANCELLED), "already ended"),
}


def not_retried(kind: Situation, deadlines: Deadlines) -> str:
    """Why a notification is not retried; empty when it is."""
    if kind.state == State.ACCEPTED and kind.later:
        return "not due yet"
    if kind.state not in RETRIED:
        return _NOT_RETRIED.get(kind.state, _NO_STATE)
    if kind.in_digest:
        return "part of a digest; retry the digest"
    if kind.state == State.HELD and kind.for_digest:
        return "waiting for its digest"
    return "" if kind.type in deadlines else "of a type that is not in flows/"


def not_cancelled(kind: Situation) -> str:
    """Why a notification is not cancelled; empty when it is."""
    if kind.state not in CANCELLED:
        return _NOT_CANCELLED.get(kind.state, _NO_STATE)
    return "part of a digest; cancel the digest" if kind.in_digest else ""


async def preview(ledger: Ledger, filter: Filter, why_left: Callable[[Situation], str]) -> list[Selection]:
    """How many notifications `filter` selects in each state, and which of them would be left unchanged."""
    table = notifications
    by = (
        table.c.state,
        table.c.type,
        table.c.digest_id.is_not(None),
        table.c.reason == "digest",
        table.c.due_at > now(),
        table.c.in_doubt > 0,
    )

    def work(connection: sa.Connection) -> list[sa.Row[Any]]:
        with tolerant.forgiving(connection):
            given = parameters(connection, filter)
            return [
                row
                for conditions in looks(filter)
                for row in connection.execute(
                    sa.select(*by, sa.func.count()).where(*conditions).group_by(*by), given
                )
            ]

    found: Counter[tuple[str, str, bool]] = Counter()
    for state, type, *of_it, in_doubt, count in await ledger.read(work):
        left = why_left(Situation(str(state), str(type), *map(bool, of_it)))
        found[str(state), left, bool(in_doubt) and state == State.HELD and not left] += count
    return [Selection(state, count, left, doubt) for (state, left, doubt), count in sorted(found.items())]


async def unknown(ledger: Ledger, ids: Sequence[UUID]) -> list[UUID]:
    """The ids among `ids` that belong to no notification."""
    wanted = sa.select(notifications.c.id).where(in_ids(notifications.c.id, ids))
    known = set(await ledger.read(lambda connection: list(connection.scalars(wanted))))
    return [id for id in ids if id not in known]


async def retry(
    ledger: Ledger,
    filter: Filter,
    deadlines: Deadlines,
    progress: Progress = lambda done: None,
    most: int | None = None,
) -> Counter[State]:
    """Restart the notifications that `filter` selects: due now, from the first step of the route, with the
    type's whole deadline. Returns counts by former state. Attempts in doubt stay counted: the notification
    goes through the provider that may have delivered it, and a person decides about another doubt.

    deadlines: of every type that can be sent. most: how many are retried at most; None for all. A
    notification that ends again meanwhile is not retried again.
    """
    begun = now()
    able = (
        notifications.c.type.in_(list(deadlines)),
        sa.or_(notifications.c.state != State.HELD, notifications.c.reason != "digest"),
        sa.or_(notifications.c.finished_at.is_(None), notifications.c.finished_at < begun),
    )

    def afresh(connection: sa.Connection, ids: Sequence[UUID], state: State, moment: datetime) -> list[UUID]:
        until = {type: moment + deadline for type, deadline in deadlines.items()}
        values = restarted(moment, sa.case(until, value=notifications.c.type))
        moved = _move(connection, ids, state, values)
        restart_items(connection, moved, state, values)
        announce_work(connection)
        return moved

    return await _each(ledger, filter, RETRIED, able, afresh, "retried", progress, "a person", most)


def restarted(moment: datetime, expires_at: Any) -> dict[str, Any]:
    """The columns of a notification that is sent afresh."""
    return {
        "state": State.ACCEPTED,
        "reason": "",
        "finished_at": None,
        "due_at": moment,
        "expires_at": expires_at,
        "step": 0,
        "suspicion": sa.case((notifications.c.suspicion > ALONE, ALONE), else_=notifications.c.suspicion),
    }


def restart_items(
    connection: sa.Connection, digests: Sequence[UUID], state: State, values: Mapping[str, Any]
) -> None:
    """Claim the items of digests that had ended in `state`: they are sent afresh with their digest."""
    if state in TERMINAL:
        copy_to_items(connection, digests, {**values, "state": State.CLAIMED})


async def cancel(
    ledger: Ledger, filter: Filter, progress: Progress = lambda done: None, by: str = "a person"
) -> Counter[State]:
    """Cancel the selected notifications that have not ended and are not being sent; a digest's items are
    cancelled with it. Returns counts by former state. by: who cancelled, kept as the reason."""

    def withdraw(
        connection: sa.Connection, ids: Sequence[UUID], state: State, moment: datetime
    ) -> list[UUID]:
        values = {"state": State.CANCELLED, "reason": f"cancelled by {by}", "finished_at": moment}
        moved = _move(connection, ids, state, values)
        copy_to_items(connection, moved, values)
        return moved

    return await _each(ledger, filter, CANCELLED, (), withdraw, "cancelled", progress, by)


# Changes the notifications still in a state, at a moment. Returns their ids.
Change = Callable[[sa.Connection, Sequence[UUID], State, datetime], list[UUID]]


async def _each(
    ledger: Ledger,
    filter: Filter,
    states: Sequence[State],
    able: Sequence[sa.ColumnElement[bool]],
    change: Change,
    what: str,
    progress: Progress,
    by: str,
    most: int | None = None,
) -> Counter[State]:
    """Apply `change` to the selected notifications in `states`, state by state, in the order of ids."""
    done: Counter[State] = Counter()
    for state in states:
        if filter.states and state not in filter.states:
            continue
        after: UUID | None = None
        while True:
            limit = AT_ONCE if most is None else min(AT_ONCE, most - done.total())
            if limit <= 0:
                return done

            def some(
                connection: sa.Connection,
                state: State = state,
                after: UUID | None = after,
                limit: int = limit,
            ) -> tuple[int, UUID | None]:
                rows, moment = _some(connection, filter, state, after, able, limit), now()
                if not rows:
                    return 0, None
                moved = set(change(connection, [row.id for row in rows], state, moment))
                note_change(connection, [row for row in rows if row.id in moved], what, by, state, moment)
                return len(moved), rows[-1].id

            moved, after = await ledger.write_until_durable(some)
            if after is None:
                break
            done[state] += moved
            progress(done.total())
    return done


def _some(
    connection: sa.Connection,
    filter: Filter,
    state: State,
    after: UUID | None,
    able: Sequence[sa.ColumnElement[bool]],
    limit: int,
) -> Sequence[sa.Row[Any]]:
    """The next `limit` or fewer, locked: none of them moves before this transaction ends."""
    table = notifications
    [conditions] = looks(replace(filter, states=(state,)))
    wanted = (
        sa.select(table.c.id, table.c.reason, *tolerant.raw(table.c.finished_at, table.c.batch_id))
        .where(*conditions, *able, table.c.digest_id.is_(None))
        .order_by(table.c.id)
        .limit(limit)
        .with_for_update(of=table)
    )
    if after is not None:
        wanted = wanted.where(table.c.id > after)
    rows = connection.execute(wanted, parameters(connection, filter)).all()
    return with_few_items(connection, rows)


def with_few_items(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> Sequence[sa.Row[Any]]:
    """The first of `rows`, as many as have not too many items altogether: these change with their digest."""
    table, size = notifications.c, written_bytes(is_postgres(connection))
    items = sa.select(table.digest_id, sa.func.count().label("items"), sa.func.sum(size).label("bytes"))
    items = items.where(in_ids(table.digest_id, [row.id for row in rows])).group_by(table.digest_id)
    found = {row.digest_id: row for row in connection.execute(items)}
    if not found:
        return rows
    many = {id: row.items for id, row in found.items()}
    large = {id: int(row.bytes) for id, row in found.items()}
    return portions(rows, lambda row: large.get(row.id, 0), rows=lambda row: 1 + many.get(row.id, 0))[0]


def _move(connection: sa.Connection, ids: Sequence[UUID], state: State, values: dict[str, Any]) -> list[UUID]:
    """Change those of `ids` that are in `state` and in no digest. Returns their ids."""
    moved = (
        sa.update(notifications)
        .where(in_ids(notifications.c.id, ids), *in_state(state), notifications.c.digest_id.is_(None))
        .values(values)
        .returning(notifications.c.id)
    )
    return list(connection.scalars(moved))


def note_change(
    connection: sa.Connection,
    rows: Sequence[sa.Row[Any]],
    what: str,
    by: str,
    state: State,
    moment: datetime,
    batch: UUID | None = None,
) -> None:
    """Note the change on each timeline, with the old state, its reason and its moment, which are overwritten.
    batch: the one that claims the notifications with the change, if any. An earlier end is noted with the
    batch that had the notification last."""
    was = f"by {by}; it was {state}"
    noted = [
        _line(row.id, moment, what, was + (f": {row.reason}" if row.reason else ""), batch) for row in rows
    ]
    if state in ENDED_BADLY:
        ends = ((row, tolerant.moment(row.finished_at)) for row in rows)
        noted += [
            _line(row.id, at, state, end_in_words(state, row.reason), tolerant.identity(row.batch_id))
            for row, at in ends
            if isinstance(at, datetime)
        ]
    if noted:
        connection.execute(sa.insert(events), noted)


def _line(
    notification: UUID, at: datetime, what: str, detail: str, batch: tolerant.Identity | None
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "notification_id": notification,
        "at": at,
        "what": what,
        "detail": detail,
        "batch_id": batch if isinstance(batch, UUID) else None,
    }
