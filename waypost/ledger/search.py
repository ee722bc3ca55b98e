"""Finding notifications: one filter for whoever lists them and whoever acts on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger import readable
from waypost.ledger.engine import Ledger
from waypost.ledger.many import among
from waypost.ledger.readable import Identity, Moment
from waypost.ledger.reading import shown_of
from waypost.ledger.tables import (
    IN_HAND,
    ITS_RECIPIENT,
    TROUBLE,
    attempts,
    notifications,
    recipients,
    tags,
)
from waypost.mail.address import mask_in
from waypost.states import State

TROUBLED = frozenset(
    {State.DEFERRED, State.HELD, State.SUPPRESSED, State.EXPIRED, State.FAILED, State.CANCELLED}
)
# An id is made when a request comes in, accepted_at when the ledger takes it: up to so much later.
ACCEPTED_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which notifications are meant: all for which every field that is set holds.

    ids: these alone. provider: an attempt went through it. since, until: accepted at or after, and
    before. reason: text in it, in capitals or not. in_doubt: an attempt's answer is not known, so that it
    may have arrived more than once, or not at all. client: whose API key it came with. recipient: the
    keys that the ledger may know one by. tag: it was given.
    """

    ids: tuple[UUID, ...] = ()
    states: tuple[State, ...] = ()
    type: str | None = None
    provider: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    reason: str | None = None
    in_doubt: bool = False
    client: str | None = None
    recipient: tuple[str, ...] = ()
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One notification in a list. `provider` is the last that was tried. What is damaged in the ledger
    stands here as it stands there."""

    id: Identity | None
    type: str
    state: str
    recipient: str
    attempts: int | str
    provider: str
    accepted_at: Moment | None
    due_at: Moment | None
    finished_at: Moment | None
    reason: str
    in_doubt: int | str


@dataclass(frozen=True, slots=True)
class Page:
    """Notifications, the newest first; `next` is what to list after for more, or None."""

    notifications: list[Entry]
    next: Identity | None


def looks(filter: Filter) -> list[list[sa.ColumnElement[bool]]]:
    """`filter` as SQL conditions: a list a state, so that each is one look at an index that has the
    ids of that state in order. All that is of a client is looked through once, whatever its states."""
    conditions = _conditions(filter)
    if filter.client is not None and len(filter.states) > 1:
        return [[notifications.c.state.in_(filter.states), *conditions]]
    return [[*in_state(state), *conditions] for state in dict.fromkeys(filter.states)] or [conditions]


def in_state(state: State) -> list[sa.ColumnElement[bool]]:
    """Whether a notification is in `state`, so that the index that has it is used."""
    same = notifications.c.state == sa.literal_column(f"'{state}'", sa.Text)
    if state in TROUBLED:
        return [TROUBLE, same]
    if state in (State.CLAIMED, State.SENDING):
        return [IN_HAND, same]
    # Not WAITING: its index is not in the order of ids, and a million that wait would be sorted.
    return [same]


def _conditions(filter: Filter) -> list[sa.ColumnElement[bool]]:
    table = notifications
    found: list[sa.ColumnElement[bool]] = []
    if filter.ids:
        found.append(among(table.c.id, filter.ids))
    if filter.type is not None:
        found.append(table.c.type == filter.type)
    if filter.provider is not None:
        through = (attempts.c.notification_id == table.c.id, attempts.c.provider == filter.provider)
        found.append(sa.exists().where(*through))
    if filter.since is not None:
        found += [
            table.c.id >= _first_id(filter.since - ACCEPTED_WITHIN),
            table.c.accepted_at >= filter.since,
        ]
    if filter.until is not None:
        found += [table.c.id < _first_id(filter.until + ACCEPTED_WITHIN), table.c.accepted_at < filter.until]
    if filter.client is not None:
        found.append(table.c.client == filter.client)
    if filter.recipient:
        found.append(table.c.recipient_key.in_(filter.recipient))
    if filter.tag is not None:
        given = (tags.c.notification_id == table.c.id, tags.c.tag == filter.tag)
        found.append(sa.exists().where(*given))
    if filter.in_doubt:
        found.append(table.c.in_doubt > 0)
    if filter.reason is not None:
        found.append(table.c.reason.icontains(filter.reason, autoescape=True))
    return found


def _first_id(moment: datetime) -> UUID:
    """Less than every UUIDv7 made at or after `moment`: their first 48 bits are milliseconds since 1970."""
    return UUID(int=max(int(moment.timestamp() * 1000), 0) << 80)


async def find(ledger: Ledger, filter: Filter, after: UUID | None = None, limit: int = 50) -> Page:
    """At most `limit` that `filter` means, the newest first; `after` is the id the last page ended with.
    Addresses are masked."""
    wanted = _entries(_ids(filter, after, limit + 1))

    def work(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
        with readable.forgiving(connection):
            return connection.execute(wanted).all()

    found = [_entry(row) for row in await ledger.browse(work)]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def _ids(filter: Filter, after: UUID | None, limit: int) -> sa.Subquery:
    """The newest ids of each look, and of all these the newest. Those with a tag are found by the index of
    tags, which has their ids in order."""
    id, given = notifications.c.id, []
    if filter.tag is not None:
        id, given = tags.c.notification_id, [tags.c.tag == filter.tag, tags.c.notification_id == id]
        filter = replace(filter, tag=None)
    older = [id < after] if after else []
    newest = [
        sa.select(id.label("id"))
        .where(*given, *conditions, *older)
        .order_by(id.desc())
        .limit(limit)
        .subquery()
        for conditions in looks(filter)
    ]
    merged = sa.union_all(*(sa.select(one.c.id) for one in newest)).subquery()
    return sa.select(merged.c.id).order_by(merged.c.id.desc()).limit(limit).subquery()


def _entries(page: sa.Subquery) -> sa.Select[Any]:
    table = notifications
    last_provider = (
        sa.select(attempts.c.provider)
        .where(attempts.c.notification_id == table.c.id)
        .order_by(attempts.c.started_at.desc(), attempts.c.id.desc())
        .limit(1)
        .scalar_subquery()
        .label("provider")
    )
    columns = (
        table.c.id, table.c.type, table.c.state, table.c.recipient_key, table.c.tries, table.c.accepted_at,
        table.c.due_at, table.c.finished_at, table.c.reason, table.c.in_doubt, table.c.named,
        recipients.c.email, recipients.c.phone, last_provider,
    )  # fmt: skip
    return (
        sa.select(*readable.raw(*columns))
        .select_from(page)
        .join(table, table.c.id == page.c.id)
        .join(recipients, ITS_RECIPIENT, isouter=True)
        .order_by(table.c.id.desc())
    )


def _entry(row: Any) -> Entry:
    return Entry(
        id=readable.identity(row.id),
        type=readable.text(row.type),
        state=readable.text(row.state),
        recipient=shown_of(row),
        attempts=row.tries if isinstance(row.tries, int) else readable.text(row.tries),
        provider=readable.text(row.provider),
        accepted_at=readable.moment(row.accepted_at),
        due_at=readable.moment(row.due_at),
        finished_at=readable.moment(row.finished_at),
        reason=mask_in(readable.text(row.reason)),
        in_doubt=row.in_doubt if isinstance(row.in_doubt, int) else readable.text(row.in_doubt),
    )
