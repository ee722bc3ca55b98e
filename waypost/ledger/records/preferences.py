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
from waypost.policy.precedence import Preference
from waypost.system.clock import now

ByRecipient = Mapping[Who, Preference]
_KEY = list(preferences.primary_key)
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
            "evidence": evidence,
            "chosen_by": by,
            "updated_at": moment,
        }
        for category, one in sorted(chosen.items())
    ]
    insert_many(connection, preferences, rows, on_conflict=_replace)


def _replace(insert: Any) -> Any:
    """A confirmation stays, until the category is turned off."""
    new, old = insert.excluded, preferences.c
    kept = sa.case((new.cadence == sa.literal_column("'never'"), None), else_=old.confirmed_at)
    changed = ("cadence", "channels", "evidence", "chosen_by", "updated_at")
    return insert.on_conflict_do_update(
        index_elements=list(preferences.primary_key),
        set_={
            **{name: new[name] for name in changed},
            "confirmed_at": sa.func.coalesce(new.confirmed_at, kept),
        },
    )


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
    table = preferences.c
    clients, keys = {client for client, _ in people}, {AUDIENCE, *(key for _, key in people)}
    confirmed = tolerant.raw(table.confirmed_at)  # only whether it is set: no moment makes the query fail
    wanted = sa.select(table.client, table.recipient_key, table.cadence, table.channels, *confirmed)
    wanted = wanted.where(
        in_texts(table.client, clients), in_texts(table.recipient_key, keys), table.category == str(category)
    )
    rows = tolerant.each(connection, wanted, _KEY, _damaged_is_never).good
    return {(row.client, row.recipient_key): one for row, one in rows}


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
