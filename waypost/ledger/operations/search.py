"""Finding notifications: one filter for listing them and for acting on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.tables import (
    IN_HAND,
    ITS_RECIPIENT,
    NOT_IN_HAND,
    TROUBLE,
    attempts,
    notifications,
    recipients,
    tags,
)
from waypost.ledger.database.tolerant import Identity, Moment
from waypost.ledger.operations.stats import shown_of
from waypost.mail.masking import mask_in
from waypost.model.brand import DEFAULT
from waypost.model.states import State
from waypost.system.ids import first_id

TROUBLED = frozenset(
    {State.DEFERRED, State.HELD, State.SUPPRESSED, State.EXPIRED, State.FAILED, State.CANCELLED}
)
# An id is made when a request comes in; the ledger sets accepted_at up to this much later.
ACCEPTED_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects the notifications for which every field that is set holds.

    ids: only these. provider: an attempt went through it. since, until: accepted at or after, and before.
    reason: contains this text, ignoring case. in_doubt: the outcome of an attempt is unknown, so the message
    may have arrived more than once, or not at all. client: the client whose API key the request came with.
    recipient: the keys that the ledger may have for a recipient. clients: with `recipient`, the request came
    with the key of one of these clients, or without a key. tag: the request had this tag.
    brand: whose mail it is.
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
    clients: tuple[str, ...] | None = None
    tag: str | None = None
    brand: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One notification in a list. provider: the last that was tried. Damaged values are shown as they stand
    in the ledger."""

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
    client: str | None = None
    brand: str = DEFAULT


@dataclass(frozen=True, slots=True)
class Page:
    """Notifications, the newest first. next: the `after` of the next page; None on the last page."""

    notifications: list[Entry]
    next: Identity | None


def looks(filter: Filter) -> list[list[sa.ColumnElement[bool]]]:
    """`filter` as SQL conditions: one list per state, so that each is one lookup in an index that has the ids
    of that state in order. With a client there is one list for all states. `parameters` gives the values of
    the conditions' parameters."""
    return _looks(filter.states, frozenset(_given(filter)))


def parameters(connection: sa.Connection, filter: Filter) -> dict[str, Any]:
    """The values of the parameters of `looks`. Addresses are hashed, as the ledger keeps them."""
    given = _given(filter)
    if filter.recipient:
        given["recipient"] = [sealing.stored_key(connection, key) for key in filter.recipient]
    return given


def _given(filter: Filter) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: value
        for name in ("type", "provider", "since", "until", "client", "tag", "brand")
        if (value := getattr(filter, name)) is not None
    }
    if filter.ids:
        found["ids"] = filter.ids
    if filter.since is not None:
        found["first_id"] = first_id(filter.since - ACCEPTED_WITHIN)
    if filter.until is not None:
        found["last_id"] = first_id(filter.until + ACCEPTED_WITHIN)
    if filter.recipient:
        found["recipient"] = filter.recipient
    if filter.clients is not None:
        found["clients"] = filter.clients
    if filter.in_doubt:
        found["in_doubt"] = 0
    if filter.reason is not None:
        found["reason"] = re.sub("([%_/])", r"/\1", filter.reason)
    return found


def _looks(states: tuple[State, ...], given: frozenset[str]) -> list[list[sa.ColumnElement[bool]]]:
    conditions = _conditions(given)
    if "recipient" in given and not states:
        return [[NOT_IN_HAND, *conditions], [IN_HAND, *conditions]]  # their index has no claimed rows
    if "client" in given and "recipient" not in given and len(states) > 1:
        return [[notifications.c.state.in_(states), *conditions]]
    return [[*in_state(state), *conditions] for state in dict.fromkeys(states)] or [conditions]


def in_state(state: State) -> list[sa.ColumnElement[bool]]:
    """Whether a notification is in `state`, written so that the index for that state is used."""
    same = notifications.c.state == sa.literal_column(f"'{state}'", sa.Text)
    if state in TROUBLED:
        return [TROUBLE, same]
    if state in (State.CLAIMED, State.SENDING):
        return [IN_HAND, same]
    # Not WAITING: its index is not in the order of ids, so a million waiting rows would be sorted.
    return [same]


def _conditions(given: frozenset[str]) -> list[sa.ColumnElement[bool]]:
    """The condition of each parameter that is given."""
    table, value = notifications, sa.bindparam
    through = (attempts.c.notification_id == table.c.id, attempts.c.provider == value("provider"))
    tagged = sa.select(tags.c.notification_id).where(tags.c.tag == value("tag"))
    of_clients = table.c.client.in_(value("clients", expanding=True))
    known: dict[str, sa.ColumnElement[bool]] = {
        "ids": in_ids(table.c.id, "ids"),
        "type": table.c.type == value("type"),
        "provider": sa.exists().where(*through),
        "first_id": table.c.id >= value("first_id"),
        "since": table.c.accepted_at >= value("since"),
        "last_id": table.c.id < value("last_id"),
        "until": table.c.accepted_at < value("until"),
        "client": table.c.client == value("client"),
        "recipient": table.c.recipient_key.in_(value("recipient", expanding=True)),
        "clients": sa.or_(table.c.client.is_(None), of_clients),
        "tag": table.c.id.in_(tagged),
        "brand": sa.func.coalesce(table.c.brand, DEFAULT) == value("brand"),
        "in_doubt": table.c.in_doubt > value("in_doubt"),
        "reason": table.c.reason.icontains(value("reason"), escape="/"),
    }
    return [condition for name, condition in known.items() if name in given]


async def find(
    ledger: Ledger, filter: Filter, after: UUID | None = None, limit: int = 50, reveal: bool = False
) -> Page:
    """At most `limit` notifications that `filter` selects, the newest first, with addresses masked unless
    `reveal` is set. after: the last id of the previous page."""
    more = {} if after is None else {"after": after}
    wanted = _page(filter.states, frozenset(_given(filter) | more))

    def work(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
        with tolerant.forgiving(connection):
            given = parameters(connection, filter) | more
            return connection.execute(wanted, {**given, "limit": limit + 1}).all()

    found = [_entry(ledger.sealing, row, reveal) for row in await ledger.browse(work)]
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


@lru_cache(128)
def _page(states: tuple[State, ...], given: frozenset[str]) -> sa.Select[Any]:
    """The statement of `find`, cached, as building it takes longer than running it."""
    return _entries(_ids(states, given))


def _ids(states: tuple[State, ...], given: frozenset[str]) -> sa.Subquery:
    """The newest ids of each lookup, and the newest of all these. Notifications with a tag are found by the
    index of tags, which has their ids in order."""
    id, always, limit = notifications.c.id, [], sa.bindparam("limit", type_=sa.Integer)
    if "tag" in given:
        id = tags.c.notification_id
        always = [tags.c.tag == sa.bindparam("tag"), id == notifications.c.id]
        given -= {"tag"}
    if "after" in given:
        always.append(id < sa.bindparam("after"))
    newest = [
        sa.select(id.label("id")).where(*always, *conditions).order_by(id.desc()).limit(limit).subquery()
        for conditions in _looks(states, given)
    ]
    if len(newest) == 1:
        return newest[0]
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
        table.c.due_at, table.c.finished_at, table.c.reason, table.c.in_doubt, table.c.named, table.c.client,
        table.c.brand,
        recipients.c.email, recipients.c.phone, last_provider,
    )  # fmt: skip
    return (
        sa.select(*tolerant.raw(*columns))
        .select_from(page)
        .join(table, table.c.id == page.c.id)
        .join(recipients, ITS_RECIPIENT, isouter=True)
        .order_by(table.c.id.desc())
    )


def _entry(box: Sealing, row: Any, reveal: bool) -> Entry:
    reason = tolerant.text(row.reason)
    return Entry(
        id=tolerant.identity(row.id),
        type=tolerant.text(row.type),
        state=tolerant.text(row.state),
        recipient=shown_of(box, row, reveal),
        attempts=row.tries if isinstance(row.tries, int) else tolerant.text(row.tries),
        provider=tolerant.text(row.provider),
        accepted_at=tolerant.moment(row.accepted_at),
        due_at=tolerant.moment(row.due_at),
        finished_at=tolerant.moment(row.finished_at),
        reason=reason if reveal else mask_in(reason),
        in_doubt=row.in_doubt if isinstance(row.in_doubt, int) else tolerant.text(row.in_doubt),
        client=row.client and tolerant.text(row.client),
        brand=tolerant.text(row.brand) or DEFAULT,
    )
