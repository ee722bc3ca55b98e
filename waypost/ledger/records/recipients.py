"""Recipients, each client with its own: stored, read and forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.steps import Pace, portions, written_bytes
from waypost.ledger.database.tables import (
    IN_HAND,
    NOT_IN_HAND,
    JsonOrNull,
    notifications,
    preferences,
    recipients,
    verifications,
)
from waypost.model.request import FIELDS, Recipient
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import first_id

FORGOTTEN = "its recipient was forgotten, so it has no address"
_FIRST_LINKS = datetime(2026, 1, 1, tzinfo=UTC)
CLOCKS_APART = timedelta(minutes=1)  # the clocks of the processes that make ids, at most
Who = tuple[str, str]  # a client (empty for none) and its key for a recipient


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a recipient after it was stored, and whether it is new."""

    fields: dict[str, Any]
    new: bool


async def put(ledger: Ledger, recipient: Recipient, client: str = "") -> Stored:
    """Store exactly what `recipient` says: omitted fields become unknown."""
    return await _store(ledger, recipient, FIELDS, client)


async def patch(
    ledger: Ledger, recipient: Recipient, named: Collection[str], client: str = ""
) -> Stored | None:
    """Store those fields of `recipient` that `named` has; None makes a field unknown. The others stay.
    Returns None if the recipient is unknown and no field has a value, so that nothing was stored."""
    fields = [field for field in FIELDS if field in named]
    has_value = any(getattr(recipient, field) for field in fields)
    if not has_value and await ledger.read(partial(_row, client, recipient.key)) is None:
        return None
    return await _store(ledger, recipient, fields, client)


async def _store(ledger: Ledger, recipient: Recipient, fields: Collection[str], client: str) -> Stored:
    told = {field: getattr(recipient, field) for field in fields}
    moment = now()
    row = {
        "client": client,
        "key": recipient.key,
        "updated_at": moment,
        "link_generation": first_generation(moment),
        **told,
    }

    def work(connection: sa.Connection) -> Stored:
        known = _row(client, recipient.key, connection)
        insert = ledger.insert(recipients).values(row)
        changed = {name: insert.excluded[name] for name in ("updated_at", *told)}
        upsert = insert.on_conflict_do_update(index_elements=_KEY, set_=changed)
        stored = connection.execute(upsert.returning(*recipients.c)).one()
        return Stored(_told(stored), known is None or not _known(known))

    return await ledger.write(work)


_KEY = [recipients.c.client, recipients.c.key]


async def add_all(ledger: Ledger, new: Sequence[Recipient], client: str = "") -> None:
    """Store many recipients in a transaction. Fields that a recipient does not have stay as they were; of two
    with the same key, the later counts."""
    moment = now()
    first = first_generation(moment)
    rows: dict[str, dict[str, Any]] = {}
    for one in new:
        row = rows.setdefault(one.key, {"client": client, "key": one.key, **dict.fromkeys(FIELDS)})
        row.update(one.named, updated_at=moment, link_generation=first)
    some = [row for _, row in sorted(rows.items())]
    await ledger.write(lambda connection: insert_many(connection, recipients, some, on_conflict=_fill))


def _fill(insert: Any) -> Any:
    new, old = insert.excluded, recipients.c
    filled = {field: sa.func.coalesce(new[field], old[field]) for field in FIELDS}
    return insert.on_conflict_do_update(index_elements=_KEY, set_={"updated_at": new.updated_at, **filled})


async def get(ledger: Ledger, key: str, client: str = "") -> dict[str, Any] | None:
    """The fields of a recipient; None when all of them are unknown, or the recipient was forgotten."""
    wanted = sa.select(recipients).where(_is(client, key))
    row = await ledger.read(lambda connection: connection.execute(wanted).one_or_none())
    return None if row is None or not _known(row) else _told(row)


def _told(row: Any) -> dict[str, Any]:
    return {"id": row.key, **{field: getattr(row, field) for field in FIELDS}, "updated_at": row.updated_at}


@dataclass(frozen=True, slots=True)
class Linked:
    """What the links of a recipient's mails depend on. generation: of the links that work. locale: empty if
    it is unknown."""

    generation: int
    locale: str


async def linked(ledger: Ledger, key: str, client: str = "") -> Linked | None:
    """What decides whether a link of the recipient works; None for a recipient that was forgotten."""
    wanted = sa.select(recipients.c.link_generation, recipients.c.locale).where(_is(client, key))
    row = await ledger.read(lambda connection: connection.execute(wanted).one_or_none())
    return None if row is None else Linked(row.link_generation, row.locale or "")


def first_generation(moment: datetime) -> int:
    """The generation of the links of a recipient that becomes known at `moment`: another than it had if it
    was forgotten before, as their links stay revoked. Seconds, which fit into 31 bits until 2094."""
    return max(int((moment - _FIRST_LINKS).total_seconds()), 1)


async def revoke_links(ledger: Ledger, key: str, client: str = "") -> bool:
    """Revoke the links in all mails that the recipient was sent; later mails have new links. Returns whether
    the recipient is known."""
    column = recipients.c.link_generation
    more = sa.update(recipients).where(_is(client, key)).values({column: column + 1})
    return await ledger.write(lambda connection: connection.execute(more).rowcount > 0)


async def forget(ledger: Ledger, key: str, client: str = "") -> bool:
    """Forget a recipient, what it chose, what its notifications say of it, and its codes. Returns whether any
    field or choice was known. Suppressions of its addresses stay: without them, mail that it turned off, or
    that bounced, would go out again. Notifications keep the recipient's id; a key that is an address is
    replaced by a random one.
    Waiting notifications to the recipient fail when their turn comes, and say why.

    The notifications change in steps, and the last transaction deletes the recipient: after a crash, repeat
    the call.
    """
    if await ledger.read(partial(_row, client, key)) is None:
        return await ledger.write(partial(_forget_choices, client, key))
    blank, begun = _blank(key), now()
    await _blank_in_steps(ledger, key, client, blank)
    # PostgreSQL's index does not list claimed rows, so the steps may have missed some that were claimed.
    # SQLite's does, and reading all rows would hold up its writer.
    late = sa.true() if ledger.is_postgres else notifications.c.id >= first_id(begun - CLOCKS_APART)

    def work(connection: sa.Connection) -> bool:
        row = _row(client, key, connection, lock=True)
        if row is None:
            return False
        connection.execute(sa.delete(recipients).where(_is(client, key)))
        had_chosen = _forget_choices(client, key, connection)
        whose = notifications_of(client, key) if ledger.is_postgres else whose_are(client, key)
        theirs = sa.select(notifications.c.id).where(whose)
        codes = verifications.c.recipient_key == key, verifications.c.notification_id.in_(theirs)
        connection.execute(sa.delete(verifications).where(*codes))
        connection.execute(sa.update(notifications).where(whose, late, _names(key)).values(blank))
        return had_chosen or _known(row)

    return await ledger.write(work)


def _forget_choices(client: str, key: str, connection: sa.Connection) -> bool:
    """Delete what the recipient chose. Returns whether that was anything."""
    table = preferences.c
    gone = sa.delete(preferences).where(table.client == client, table.recipient_key == key)
    return connection.execute(gone).rowcount > 0


async def _blank_in_steps(ledger: Ledger, key: str, client: str, blank: dict[str, Any]) -> None:
    """Walk through the recipient's notifications by their ids, and blank those that name it or have codes."""
    table, last = notifications.c, UUID(int=0)
    has_codes = sa.exists().where(verifications.c.notification_id == table.id)
    to_do = sa.or_(_names(key), has_codes).label("to_do")
    size = written_bytes(ledger.is_postgres).label("bytes")
    theirs = [whose_are(client, key), *([NOT_IN_HAND] if ledger.is_postgres else [])]
    wanted = sa.select(table.id, to_do, size).where(*theirs).order_by(table.id)

    def page(connection: sa.Connection, after: UUID, rows: int) -> list[sa.Row[Any]]:
        found = connection.execute(wanted.where(table.id > after).limit(rows)).all()
        return portions(found, lambda row: row.bytes if row.to_do else 0)[0] if found else []

    pace = Pace()
    while rows := await ledger.read(partial(page, after=last, rows=pace.rows)):
        ids = [row.id for row in rows if row.to_do]
        async with pace.transaction():
            if ids:
                await ledger.write(partial(_blank_some, ids, key, blank))
        last = rows[-1].id


def _blank_some(ids: Sequence[UUID], key: str, blank: dict[str, Any], connection: sa.Connection) -> None:
    connection.execute(sa.delete(verifications).where(in_ids(verifications.c.notification_id, ids)))
    connection.execute(sa.update(notifications).where(in_ids(notifications.c.id, ids)).values(blank))


def _blank(key: str) -> dict[str, Any]:
    """What the notifications of a recipient that is forgotten are given."""
    named = sa.case((notifications.c.named.is_not(None), sa.literal({}, JsonOrNull)))
    return {"named": named, **({"recipient_key": f"forgotten:{uuid4().hex}"} if is_address(key) else {})}


def _names(key: str) -> sa.ColumnElement[bool]:
    """Whether a notification still says anything of its recipient, whose key is `key`."""
    return sa.true() if is_address(key) else sa.cast(notifications.c.named, sa.Text) != "{}"


def _row(client: str, key: str, connection: sa.Connection, lock: bool = False) -> Any:
    wanted = sa.select(recipients).where(_is(client, key))
    return connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()


async def waiting(ledger: Ledger, key: str, client: str = "") -> int:
    """How many notifications to a recipient wait for a run, a retry, a digest or a person."""
    waits = (State.ACCEPTED, State.DEFERRED, State.HELD)
    theirs = notifications_of(client, key), notifications.c.state.in_(waits)
    wanted = sa.select(sa.func.count()).select_from(notifications).where(*theirs)
    return await ledger.read(lambda connection: connection.scalar(wanted) or 0)


def is_address(key: str) -> bool:
    """Whether the key of a recipient is an address; no id looks like one."""
    return key.startswith(("mailto:", "tel:"))


def notifications_of(client: str, key: str) -> sa.ColumnElement[bool]:
    """Whether a notification is for that recipient; written so that two indexes are used."""
    theirs = whose_are(client, key)
    return sa.or_(sa.and_(theirs, NOT_IN_HAND), sa.and_(IN_HAND, theirs))


def whose_are(client: str, key: str) -> sa.ColumnElement[bool]:
    table = notifications.c
    whose = table.client == client if client else table.client.is_(None)
    return sa.and_(whose, table.recipient_key == key)


def rows_of(connection: sa.Connection, wanted: Collection[Who]) -> dict[Who, Any]:
    """The rows of the recipients in `wanted`, with one query per client. A row that cannot be read is left
    out."""
    by_client: defaultdict[str, list[str]] = defaultdict(list)
    for client, key in wanted:
        by_client[client].append(key)
    found: dict[Who, Any] = {}
    for client, keys in by_client.items():
        mine = sa.select(recipients).where(recipients.c.client == client, recipients.c.key.in_(keys))
        good, _ = tolerant.each(connection, mine, [recipients.c.key, recipients.c.client], _sound)
        found |= {(row.client, row.key): row for row in good}
    return found


def _sound(row: Any) -> Any:
    return tolerant.checked(row, recipients)


def _is(client: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(recipients.c.client == client, recipients.c.key == key)


def _known(row: Any) -> bool:
    return any(getattr(row, field) is not None for field in FIELDS)
