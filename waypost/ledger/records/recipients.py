"""Recipients, each client with its own: stored, read and forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any, cast
from uuid import UUID, uuid4

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import do_nothing, in_ids, in_texts, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.steps import Pace, portions, written_bytes
from waypost.ledger.database.tables import (
    IN_HAND,
    NOT_IN_HAND,
    JsonOrNull,
    attempts,
    groups,
    idempotency_keys,
    notifications,
    preferences,
    recipients,
    suppressions,
    verifications,
)
from waypost.ledger.records import recipient_addresses
from waypost.mail.address import is_address_url, url_of
from waypost.model.additional_address import AdditionalAddress
from waypost.model.attributes import Attributes, merged, without_removed
from waypost.model.profile import PROFILE, Profile
from waypost.model.states import TERMINAL, State
from waypost.model.suppression import EVERY_CLIENT
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


async def put(ledger: Ledger, recipient: Profile, client: str = "") -> Stored:
    """Store exactly what `recipient` says: omitted fields become unknown. A main address that stays is as
    verified as it was."""
    return await _store(ledger, recipient, PROFILE, client, recipient.addresses or (), replaces=True)


async def patch(
    ledger: Ledger, recipient: Profile, named: Collection[str], client: str = ""
) -> Stored | None:
    """Store those fields of `recipient` that `named` has; None makes a field unknown. The others stay, and so
    do attributes that are not named; `addresses` replaces the list. Returns None if the recipient is unknown
    and no field has a value, so that nothing was stored. Raises TooMany."""
    fields = [field for field in PROFILE if field in named]
    addresses = (recipient.addresses or ()) if "addresses" in named else None
    has_value = any(getattr(recipient, field) for field in fields if field != "attributes")
    has_value = has_value or ("attributes" in fields and bool(without_removed(recipient.attributes)))
    has_value = has_value or bool(addresses)
    key = await ledger.stored_key(recipient.key)
    if not has_value and await ledger.read(partial(_row, client, key)) is None:
        return None
    return await _store(ledger, recipient, fields, client, addresses)


async def _store(
    ledger: Ledger,
    recipient: Profile,
    fields: Collection[str],
    client: str,
    addresses: Sequence[AdditionalAddress] | None,
    replaces: bool = False,
) -> Stored:
    """addresses: the new list; None leaves it. replaces: whether attributes that `recipient` does not name
    are removed."""
    told = {field: getattr(recipient, field) for field in fields}
    moment, key = now(), await ledger.stored_key(recipient.key)
    head = {
        "client": client,
        "key": key,
        "updated_at": moment,
        "link_generation": first_generation(moment),
    }

    def work(connection: sa.Connection) -> Stored:
        box = ledger.sealing
        box.prepare(connection)
        known = _row(client, key, connection)
        if "attributes" in told:
            old = None if replaces else _kept_attributes(connection, client, [head]).get(key)
            told["attributes"] = merged(old, recipient.attributes) or None
        row = box.sealed(recipients, {**head, **told})
        insert = ledger.insert(recipients).values(row)
        changed = {name: insert.excluded[name] for name in ("updated_at", *told)}
        upsert = insert.on_conflict_do_update(index_elements=_KEY, set_=changed)
        stored = connection.execute(upsert.returning(*recipients.c)).one()
        had = recipient_addresses.of_recipient(connection, (client, key))
        mains = _mains(_fields(box, stored))
        kept = recipient_addresses.store(connection, (client, key), mains, addresses, had, moment)
        is_new = known is None or not (_known(known) or recipient_addresses.has_any(had))
        return Stored(_told(connection, stored, kept), is_new)

    return await ledger.write(work)


_KEY = [recipients.c.client, recipients.c.key]


def _kept_attributes(
    connection: sa.Connection, client: str, heads: Sequence[dict[str, Any]]
) -> dict[str, Attributes]:
    """The attributes of recipients, by key. Their rows are made first, if need be, and locked: what two
    processes name at once is merged. heads: the columns that a row must have."""
    insert_many(connection, recipients, heads, on_conflict=do_nothing)
    table, keys = recipients.c, [head["key"] for head in heads]
    wanted = sa.select(table.client, table.key, table.attributes).where(
        table.client == client, in_texts(table.key, keys)
    )
    read = partial(sealing.of(connection).row, recipients)
    rows = tolerant.each(connection, wanted.order_by(table.key).with_for_update(), _KEY, read).good
    kept: dict[str, Any] = {row.key: row.attributes for row in rows}
    return {key: cast("Attributes", one) for key, one in kept.items() if isinstance(one, dict)}


async def add_all(ledger: Ledger, new: Sequence[Profile], client: str = "") -> None:
    """Store many recipients in a transaction. Fields and attributes that a recipient does not have stay as
    they were; of two with the same key, the later counts. Raises TooMany."""
    moment = now()
    first = first_generation(moment)
    rows: dict[str, dict[str, Any]] = {}
    named: dict[str, Attributes] = {}
    for one in new:
        row = rows.setdefault(one.key, {"client": client, **dict.fromkeys(PROFILE)})
        row.update(one.named, updated_at=moment, link_generation=first)
        if one.attributes:
            named[one.key] = {**named.get(one.key, {}), **one.attributes}

    def work(connection: sa.Connection) -> None:
        box = ledger.sealing
        box.prepare(connection)
        keys = {key: box.stored_key(connection, key) for key in rows}
        stored = sorted(({**row, "key": keys[key]} for key, row in rows.items()), key=itemgetter("key"))
        if named:
            _merge_attributes(connection, client, stored, {keys[key]: one for key, one in named.items()})
        insert_many(connection, recipients, box.sealed_all(recipients, stored), on_conflict=_fill)

    await ledger.write(work)


def _merge_attributes(
    connection: sa.Connection, client: str, rows: Sequence[dict[str, Any]], named: Mapping[str, Attributes]
) -> None:
    """Give `rows` the attributes that they will have. named: the new ones, by key."""
    heads = [{name: row[name] for name in _HEAD} for row in rows if row["key"] in named]
    kept = _kept_attributes(connection, client, heads)
    for row in rows:
        if (new := named.get(row["key"])) is not None:
            row["attributes"] = merged(kept.get(row["key"]), new) or None


_HEAD = ("client", "key", "updated_at", "link_generation")


def _fill(insert: Any) -> Any:
    new, old = insert.excluded, recipients.c
    filled = {field: sa.func.coalesce(new[field], old[field]) for field in PROFILE}
    return insert.on_conflict_do_update(index_elements=_KEY, set_={"updated_at": new.updated_at, **filled})


async def get(ledger: Ledger, key: str, client: str = "") -> dict[str, Any] | None:
    """The fields of a recipient; None when all of them are unknown, or the recipient was forgotten."""
    key = await ledger.stored_key(key)

    def work(connection: sa.Connection) -> dict[str, Any] | None:
        row = _row(client, key, connection)
        if row is None:
            return None
        kept = recipient_addresses.of_recipient(connection, (client, key))
        return _told(connection, row, kept) if _known(row) or recipient_addresses.has_any(kept) else None

    return await ledger.read(work)


def _told(connection: sa.Connection, row: Any, kept: Sequence[Any]) -> dict[str, Any]:
    """What is known of a recipient. Without an id, its address as a URL stands in its place. kept: the rows
    of its addresses."""
    fields = _fields(sealing.of(connection), row)
    address = fields["phone"] if row.key.startswith("tel:") else fields["email"]
    id = url_of(address) if is_address_url(row.key) and address else row.key
    addresses = recipient_addresses.described(connection, _mains(fields), kept)
    return {"id": id, **fields, "addresses": addresses, "updated_at": row.updated_at}


def _fields(box: Sealing, row: Any) -> dict[str, Any]:
    fields = {field: _opened(box, row, field) for field in PROFILE}
    return {**fields, "attributes": fields["attributes"] or {}}


def _mains(fields: Mapping[str, Any]) -> list[str]:
    """The main addresses of a recipient with those fields."""
    return [one for one in (fields["email"], fields["phone"]) if one]


def _opened(box: Sealing, row: Any, field: str) -> Any:
    return box.opened(recipients, (row.client, row.key), field, getattr(row, field))


@dataclass(frozen=True, slots=True)
class Linked:
    """What the links of a recipient's mails depend on. generation: of the links that work. locale: empty if
    it is unknown."""

    generation: int
    locale: str


async def linked(ledger: Ledger, key: str, client: str = "") -> Linked | None:
    """What decides whether a link of the recipient works; None for a recipient that was forgotten."""
    key = await ledger.stored_key(key)
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
    column, key = recipients.c.link_generation, await ledger.stored_key(key)
    more = sa.update(recipients).where(_is(client, key)).values({column: column + 1})
    return await ledger.write(lambda connection: connection.execute(more).rowcount > 0)


async def forget(ledger: Ledger, key: str, client: str = "") -> bool:
    """Forget a recipient, its addresses, what it chose, its codes, and what its notifications say: of it,
    their facts, and the replies of providers. Returns whether any field or choice was known. Suppressions of
    its addresses stay as hashes: without them, mail that it turned off, or that bounced, would go out again.
    Notifications keep the recipient's id; a key that is made from an address is replaced by a random one.
    Waiting notifications to the recipient fail when their turn comes, and say why. Those that go on if the id
    gets an address before keep their facts.

    The notifications change in steps, and the last transaction deletes the recipient: after a crash, repeat
    the call.
    """
    key = await ledger.stored_key(key)
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
        _blank_suppressions(ledger.sealing, row, connection)
        connection.execute(sa.delete(recipients).where(_is(client, key)))
        had_addresses = recipient_addresses.forget(connection, (client, key))
        had_chosen = _forget_choices(client, key, connection)
        whose = notifications_of(client, key) if ledger.is_postgres else whose_are(client, key)
        theirs = sa.select(notifications.c.id).where(whose)
        codes = verifications.c.recipient_key == key, verifications.c.notification_id.in_(theirs)
        connection.execute(sa.delete(verifications).where(*codes))
        missed = sa.select(notifications.c.id).where(whose, late, _tells(key))
        _blank_some(list(connection.scalars(missed)), blank, connection)
        return had_chosen or had_addresses or _known(row)

    return await ledger.write(work)


def _forget_choices(client: str, key: str, connection: sa.Connection) -> bool:
    """Delete what the recipient chose. Returns whether that was anything."""
    table = preferences.c
    gone = sa.delete(preferences).where(table.client == client, table.recipient_key == key)
    return connection.execute(gone).rowcount > 0


async def _blank_in_steps(ledger: Ledger, key: str, client: str, blank: dict[str, Any]) -> None:
    """Walk through the recipient's notifications by their ids, and blank those that tell of it or have
    codes."""
    table, last = notifications.c, UUID(int=0)
    has_codes = sa.exists().where(verifications.c.notification_id == table.id)
    to_do = sa.or_(_tells(key), has_codes).label("to_do")
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
                await ledger.write(partial(_blank_some, ids, blank))
        last = rows[-1].id


def _blank_some(ids: Sequence[UUID], blank: dict[str, Any], connection: sa.Connection) -> None:
    """Blank the notifications `ids`. A request that repeats one of them is a conflict from then on, and opens
    a group of its own: what was the same request or group is forgotten."""
    if not ids:
        return
    for table in (verifications, groups):
        connection.execute(sa.delete(table).where(in_ids(table.c.notification_id, ids)))
    for table, values in ((attempts, {"words": ""}), (idempotency_keys, {"body_hash": b""})):
        connection.execute(sa.update(table).where(in_ids(table.c.notification_id, ids)).values(values))
    connection.execute(sa.update(notifications).where(in_ids(notifications.c.id, ids)).values(blank))


def _blank_suppressions(box: Sealing, row: Any, connection: sa.Connection) -> None:
    """Suppressions of the recipient's addresses, of its client and of all clients, go on without telling the
    address."""
    known = (_opened(box, row, field) for field in ("email", "phone"))
    keys = [box.stored_key(connection, url_of(address)) for address in known if address]
    keys += recipient_addresses.keys_of(connection, (row.client, row.key))
    table = suppressions.c
    theirs = in_texts(table.address, keys), table.client.in_((row.client, EVERY_CLIENT))
    connection.execute(sa.update(suppressions).where(*theirs).values(shown=None, evidence=""))


def _blank(key: str) -> dict[str, Any]:
    """What the notifications of a recipient that is forgotten are given."""
    nothing = sa.literal({}, JsonOrNull)
    named = sa.case((notifications.c.named.is_not(None), nothing))
    data = sa.case((_ends(), nothing), else_=notifications.c.data)
    return {
        "named": named,
        "data": data,
        **({"recipient_key": f"forgotten:{uuid4().hex}"} if is_address_url(key) else {}),
    }


def _ends() -> sa.ColumnElement[bool]:
    """Whether a notification of a recipient that is forgotten has ended, or will fail."""
    table = notifications.c
    return sa.or_(table.state.in_(sorted(TERMINAL)), table.named.is_not(None))


def _tells(key: str) -> sa.ColumnElement[bool]:
    """Whether a notification still tells anything of its recipient, whose key is `key`."""
    if is_address_url(key):
        return sa.true()
    table = notifications.c
    names = sa.cast(table.named, sa.Text) != "{}"
    return sa.or_(names, sa.and_(_ends(), sa.cast(table.data, sa.Text) != "{}"))


def _row(client: str, key: str, connection: sa.Connection, lock: bool = False) -> Any:
    wanted = sa.select(recipients).where(_is(client, key))
    return connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()


async def waiting(ledger: Ledger, key: str, client: str = "") -> int:
    """How many notifications to a recipient wait for a run, a retry, a digest or a person."""
    waits = (State.ACCEPTED, State.DEFERRED, State.HELD)
    theirs = notifications_of(client, await ledger.stored_key(key)), notifications.c.state.in_(waits)
    wanted = sa.select(sa.func.count()).select_from(notifications).where(*theirs)
    return await ledger.read(lambda connection: connection.scalar(wanted) or 0)


def notifications_of(client: str, key: str) -> sa.ColumnElement[bool]:
    """Whether a notification is for that recipient; written so that two indexes are used."""
    theirs = whose_are(client, key)
    return sa.or_(sa.and_(theirs, NOT_IN_HAND), sa.and_(IN_HAND, theirs))


def whose_are(client: str, key: str) -> sa.ColumnElement[bool]:
    table = notifications.c
    whose = table.client == client if client else table.client.is_(None)
    return sa.and_(whose, table.recipient_key == key)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a recipient is reached."""

    email: str | None
    phone: str | None


def addresses_of(connection: sa.Connection, wanted: Collection[Who]) -> dict[Who, Addresses]:
    """The addresses on record of the recipients in `wanted`, with one query per client. A row that cannot be
    read is left out."""
    box = sealing.of(connection)
    by_client: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for client, key in wanted:
        by_client[client][box.stored_key(connection, key)] = key
    found: dict[Who, Addresses] = {}
    for client, keys in by_client.items():
        mine = sa.select(recipients).where(recipients.c.client == client, recipients.c.key.in_(list(keys)))
        good, _ = tolerant.each(
            connection, mine, [recipients.c.key, recipients.c.client], partial(_addresses, box)
        )
        found |= {(client, keys[key]): one for key, one in good}
    return found


def _addresses(box: Sealing, row: Any) -> tuple[str, Addresses]:
    tolerant.checked(row, recipients)
    return row.key, Addresses(_opened(box, row, "email"), _opened(box, row, "phone"))


def _is(client: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(recipients.c.client == client, recipients.c.key == key)


def _known(row: Any) -> bool:
    return any(getattr(row, field) is not None for field in PROFILE)
