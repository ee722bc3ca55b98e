"""What recipients, and clients for all of theirs, chose for each category."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_texts, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import stored_key
from waypost.ledger.database.tables import preferences
from waypost.ledger.records.recipients import Who
from waypost.model.cadence import Cadence, Every
from waypost.model.category import Category
from waypost.model.permission import Preference
from waypost.system.clock import now

ByRecipient = Mapping[Who, Preference]
_KEY = list(preferences.primary_key)
# A literal: rows are bound by insert_many, and a statement has no values of its own.
_NO_EVIDENCE: sa.ColumnElement[str] = sa.literal_column("''", sa.Text)
AUDIENCE = ""  # in place of a recipient's key: what the client chose for all of its recipients


@dataclass(frozen=True, slots=True)
class Choice:
    """A preference and how it came to be. by: who chose. evidence: of a consent, for people."""

    preference: Preference
    by: str
    at: datetime
    confirmed_at: datetime | None = None
    evidence: str = ""


def choose_all(
    connection: sa.Connection,
    client: str,
    key: str,
    chosen: Mapping[Category, Preference],
    by: str,
    evidence: str = "",
) -> None:
    """Store what the recipient `key` of `client` chose. Categories that are not named stay as they are."""
    moment, key = now(), stored_key(connection, key)
    rows = [
        {
            "client": client,
            "recipient_key": key,
            "category": str(category),
            "cadence": str(one.cadence),
            "channels": None if one.channels is None else list(one.channels),
            "confirmed_at": moment if one.confirmed else None,
            "evidence": one.evidence or evidence,
            "chosen_by": by,
            "updated_at": moment,
        }
        for category, one in sorted(chosen.items())
    ]
    insert_many(connection, preferences, rows, on_conflict=_replace)


def _replace(insert: Any) -> Any:
    """A confirmation stays until the category is turned off. Its evidence stays with it, until there is newer
    evidence."""
    new, old = insert.excluded, preferences.c
    is_off = new.cadence == sa.literal_column("'never'")
    kept = sa.case((is_off, None), else_=old.confirmed_at)
    stays = sa.and_(
        ~is_off, old.confirmed_at.is_not(None), new.confirmed_at.is_(None), new.evidence == _NO_EVIDENCE
    )
    changed = ("cadence", "channels", "chosen_by", "updated_at")
    return insert.on_conflict_do_update(
        index_elements=list(preferences.primary_key),
        set_={
            **{name: new[name] for name in changed},
            "confirmed_at": sa.func.coalesce(new.confirmed_at, kept),
            "evidence": sa.case((stays, old.evidence), else_=new.evidence),
        },
    )


def described(one: Choice) -> dict[str, Any]:
    """A choice as the API tells it."""
    channels = one.preference.channels
    return {
        "cadence": str(one.preference.cadence),
        "channels": None if channels is None else list(channels),
        "confirmed_at": one.confirmed_at,
        "evidence": one.evidence,
        "chosen_by": one.by,
        "updated_at": one.at,
    }


async def choices(ledger: Ledger, client: str, key: str) -> dict[Category, Choice]:
    """All that the recipient chose, by category."""
    key = await ledger.stored_key(key)
    wanted = sa.select(preferences).where(_of(client, key)).order_by(preferences.c.category)

    def work(connection: sa.Connection) -> dict[Category, Choice]:
        return dict(tolerant.each(connection, wanted, _KEY, _choice).good)

    return await ledger.read(work)


async def choose(
    ledger: Ledger, client: str, key: str, chosen: Mapping[Category, Preference], by: str, evidence: str = ""
) -> None:
    """As `choose_all`, in a transaction of its own."""
    await ledger.write(lambda connection: choose_all(connection, client, key, chosen, by, evidence))


async def forget(ledger: Ledger, client: str, key: str, categories: Sequence[Category]) -> int:
    """Go back to what applies without a choice. Returns for how many categories."""
    gone = sa.delete(preferences).where(
        _of(client, await ledger.stored_key(key)), preferences.c.category.in_(list(map(str, categories)))
    )
    return await ledger.write(lambda connection: connection.execute(gone).rowcount)


def _of(client: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(preferences.c.client == client, preferences.c.recipient_key == key)


def of_recipients(connection: sa.Connection, people: Collection[Who], category: Category) -> ByRecipient:
    """What `people`, and the clients for all of theirs, chose for `category`."""
    if not people:
        return {}
    clients, keys = {client for client, _ in people}, {AUDIENCE, *(key for _, key in people)}
    given = {"clients": list(clients), "keys": list(keys), "category": str(category)}
    rows = tolerant.each(connection, _CHOSEN, _KEY, _damaged_is_never, given).good
    return {(row.client, row.recipient_key): one for row, one in rows}


_CHOSEN = sa.select(
    preferences.c.client,
    preferences.c.recipient_key,
    preferences.c.cadence,
    preferences.c.channels,
    *tolerant.raw(preferences.c.confirmed_at),  # only whether it is set: no moment makes the query fail
).where(
    in_texts(preferences.c.client, "clients"),
    in_texts(preferences.c.recipient_key, "keys"),
    preferences.c.category == sa.bindparam("category"),
)


def _damaged_is_never(row: Any) -> tuple[Any, Preference]:
    """The preference of a row. Whoever wrote a damaged row chose something: nothing is sent against it."""
    try:
        return row, _preference(row)
    except ValueError:
        return row, Preference(Cadence(Every.NEVER))


def _preference(row: Any) -> Preference:
    """Raises ValueError."""
    kept: Any = row.channels
    channels = tuple(map(str, cast("list[Any]", kept))) if isinstance(kept, list) else None
    return Preference(Cadence.parse(row.cadence), channels, row.confirmed_at is not None)


def _choice(row: Any) -> tuple[Category, Choice]:
    tolerant.checked(row, preferences)
    chosen = Choice(_preference(row), row.chosen_by, row.updated_at, row.confirmed_at, row.evidence)
    return Category(row.category), chosen
