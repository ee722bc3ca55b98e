"""Suppressions: addresses that must not be written to, stored, found, listed and lifted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_texts, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.steps import delete_in_steps
from waypost.ledger.database.tables import UtcDateTime, suppressions
from waypost.ledger.database.unreachable import OtherDataKey
from waypost.mail.address import folded, url_of
from waypost.model.category import Category
from waypost.model.suppression import ALL, EVERY_CLIENT, Cause, Suppressed, Suppression
from waypost.system.clock import now
from waypost.system.key_ring import KeyMissing

ByAddress = Mapping[str, Sequence[tuple[str, Suppressed]]]  # by address: whose it stops, and the suppression
PAGE = 1000


def add_suppressions(connection: sa.Connection, new: Sequence[Suppression]) -> None:
    """Store `new`. One that is there already gets the new evidence and expiry, and keeps its beginning."""
    box = sealing.of(connection)
    rows = {
        _key(row): row for row in (_row(one, box.stored_key(connection, url_of(one.address))) for one in new)
    }
    sealed = [box.sealed(suppressions, row) for _, row in sorted(rows.items())]
    insert_many(connection, suppressions, sealed, on_conflict=_renew)


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[column.name] for column in suppressions.primary_key)


def _row(one: Suppression, key: str) -> dict[str, Any]:
    return {
        "address": key,
        "client": one.client,
        "scope": one.scope or ALL,
        "cause": one.cause,
        "shown": folded(one.address),
        "evidence": one.evidence,
        "created_at": one.created_at or now(),
        "expires_at": one.expires_at,
    }


def _renew(insert: Any) -> Any:
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=list(suppressions.primary_key),
        set_={"shown": new.shown, "evidence": new.evidence, "expires_at": new.expires_at},
    )


async def add(ledger: Ledger, new: Sequence[Suppression]) -> None:
    """As `add_suppressions`, in a transaction of its own."""
    await ledger.write(lambda connection: add_suppressions(connection, new))


def lift(
    connection: sa.Connection, address: str, client: str, scopes: Sequence[Category], cause: Cause
) -> None:
    """Lift the suppressions of an address for those categories, for one cause and one client."""
    table = suppressions.c
    key = sealing.stored_key(connection, url_of(address))
    theirs = table.address == key, table.client == client, table.cause == cause
    if scopes:
        connection.execute(sa.delete(suppressions).where(*theirs, table.scope.in_(list(map(str, scopes)))))


@dataclass(frozen=True, slots=True)
class Which:
    """Some of the suppressions; None for any.

    address: as somebody writes it. clients: whose notifications they stop, such as `("shop", EVERY_CLIENT)`.
    scope: their category; ALL for those of all categories.
    """

    address: str | None = None
    clients: tuple[str, ...] | None = None
    scope: str | None = None
    cause: Cause | None = None

    def conditions(self, connection: sa.Connection) -> list[sa.ColumnElement[bool]]:
        table, found = suppressions.c, list[sa.ColumnElement[bool]]()
        if self.address is not None:
            found.append(table.address == sealing.stored_key(connection, url_of(self.address)))
        if self.clients is not None:
            found.append(table.client.in_(self.clients))
        if self.scope is not None:
            found.append(table.scope == self.scope)
        if self.cause is not None:
            found.append(table.cause == self.cause)
        return found


async def remove(ledger: Ledger, which: Which) -> int:
    """Lift suppressions. Returns how many."""

    def work(connection: sa.Connection) -> int:
        return connection.execute(sa.delete(suppressions).where(*which.conditions(connection))).rowcount

    return await ledger.write(work)


Key = tuple[str, ...]  # of a row: address, client, scope, cause
ANY = Which()


async def each(ledger: Ledger, which: Which = ANY) -> AsyncGenerator[Suppression]:
    """Every suppression in force, those of an address together, a page at a time."""
    after: Key | None = None
    while True:
        found, last = await page(ledger, which, after)
        for one in found:
            yield one
        if last is None or last == after:
            return
        after = last


async def page(
    ledger: Ledger, which: Which = ANY, after: Key | None = None, limit: int = PAGE
) -> tuple[list[Suppression], Key | None]:
    """The suppressions in force that follow the row with the key `after`, at most `limit`, and the key to
    continue with; None on the last page."""
    key = tuple(suppressions.primary_key)
    wanted = sa.select(suppressions).where(_in_force(now())).order_by(*key).limit(limit)
    if after is not None:
        wanted = wanted.where(sa.tuple_(*key) > sa.tuple_(*map(sa.literal, after)))
    return await ledger.read(
        lambda connection: _page(wanted.where(*which.conditions(connection)), limit, connection)
    )


def _page(
    page: sa.Select[Any], limit: int, connection: sa.Connection
) -> tuple[list[Suppression], Key | None]:
    """The suppressions of a page that can be read, and the key of its last row; None on the last page."""
    read = partial(_suppression, sealing.of(connection))
    found = tolerant.each(connection, page, list(suppressions.primary_key), read)
    keys = tolerant.read(connection, page.with_only_columns(*tolerant.raw(*suppressions.primary_key)))
    return found.good, tuple(map(tolerant.text, keys[-1])) if len(keys) == limit else None


def _suppression(box: Sealing, row: Any) -> Suppression:
    """Raises OtherDataKey if a key is missing: a list would lack what other processes see."""
    tolerant.checked(row, suppressions)
    key = _key(row._mapping)
    try:
        shown, evidence = (
            box.opened(suppressions, key, name, getattr(row, name)) for name in ("shown", "evidence")
        )
    except KeyMissing as error:
        raise OtherDataKey(error) from None
    return Suppression(
        address=shown or row.address,
        scope=row.scope or None,
        cause=row.cause,
        client=row.client,
        evidence=evidence,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def described(one: Suppression) -> dict[str, Any]:
    """A suppression as a client may see it. What led to one for all clients may be about another client, and
    is not told."""
    for_all = one.client == EVERY_CLIENT
    return {
        "address": one.address,
        "category": one.scope,
        "cause": one.cause,
        "for_all_clients": for_all,
        "reason": "" if for_all else one.evidence,
        "created_at": one.created_at,
        "expires_at": one.expires_at,
    }


async def delete_expired(ledger: Ledger) -> int:
    """Delete the suppressions that are no longer in force. Returns how many."""
    return await delete_in_steps(ledger, suppressions, suppressions.c.expires_at <= now())


def of_addresses(
    connection: sa.Connection, urls: Mapping[str, str], category: Category, moment: datetime
) -> ByAddress:
    """The suppressions in force that stop `category` at addresses. urls: by the ledger's key of each."""
    if not urls:
        return {}
    given = {"addresses": list(urls), "category": str(category), "moment": moment}
    rows = tolerant.each(connection, _THAT_STOP, list(suppressions.primary_key), _sound, given).good
    found: defaultdict[str, list[tuple[str, Suppressed]]] = defaultdict(list)
    for address, client, one in rows:
        found[urls[address]].append((client, one))
    return found


def _sound(row: Any) -> tuple[str, str, Suppressed]:
    """A damaged cause stops as any other does."""
    cause = Cause(row.cause) if row.cause in set(Cause) else Cause.MANUAL
    return row.address, row.client, Suppressed(cause, row.scope)


def that_stop(found: ByAddress, address: str, client: str) -> list[Suppressed]:
    """Those at `address` that stop the notifications of `client`."""
    return [one for whose, one in found.get(address, ()) if whose in (EVERY_CLIENT, client)]


def _in_force(moment: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    expires = suppressions.c.expires_at
    return sa.or_(expires.is_(None), expires > moment)


_STOPS_CATEGORY = (
    sa.or_(suppressions.c.scope == ALL, suppressions.c.scope == sa.bindparam("category")),
    _in_force(sa.bindparam("moment", type_=UtcDateTime())),
)
_THAT_STOP = sa.select(
    suppressions.c.address, suppressions.c.client, suppressions.c.cause, suppressions.c.scope
).where(in_texts(suppressions.c.address, "addresses"), *_STOPS_CATEGORY)


NO_HARD_BOUNCE = suppressions.c.cause != Cause.HARD_BOUNCE


def is_stopped(
    address: sa.Column[str], client: sa.Column[str], *conditions: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """Whether a suppression in force at the parameter `moment`, for which `conditions` hold, stops
    notifications of `client`, and of the parameter `category`, at `address`."""
    whose = sa.or_(suppressions.c.client == EVERY_CLIENT, suppressions.c.client == client)
    return sa.exists().where(suppressions.c.address == address, whose, *_STOPS_CATEGORY, *conditions)
