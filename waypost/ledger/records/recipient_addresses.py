"""The addresses of recipients beside their main ones, and when each address was verified.

A row with an address is one of the list that the recipient's client gave. A row without it says when a main
address was verified: the recipient has the address itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_texts, insert_many
from waypost.ledger.database.tables import recipient_addresses, recipients
from waypost.ledger.records import suppressions
from waypost.mail.address import url_of
from waypost.model.additional_address import AdditionalAddress, kind_of
from waypost.model.category import Category

_TABLE = recipient_addresses.c
_KEY = list(recipient_addresses.primary_key)
Who = tuple[str, str]  # a client (empty for none), and the ledger's key of its recipient


def of_recipient(connection: sa.Connection, whose: Who) -> list[Any]:
    """The rows of a recipient, with their addresses, in the order of its list. Raises NotOpened."""
    wanted = sa.select(recipient_addresses).where(*_are(whose)).order_by(_TABLE.place, _TABLE.stored_key)
    box = sealing.of(connection)
    return [box.row(recipient_addresses, row) for row in connection.execute(wanted)]


def has_any(rows: Iterable[Any]) -> bool:
    """Whether a recipient with those rows has addresses beside the main ones."""
    return any(row.address is not None for row in rows)


def store(
    connection: sa.Connection,
    whose: Who,
    mains: Iterable[str],
    named: Sequence[AdditionalAddress] | None,
    kept: Sequence[Any],
    moment: datetime,
) -> Sequence[Any]:
    """After a recipient's main addresses became `mains`: leave of its rows, `kept`, those that still hold,
    and replace its list with `named`, unless that is None. The recipient's row is locked. Returns the rows.
    """
    if not kept and not named:
        return kept
    before: list[dict[str, Any]] = [vars(row) for row in kept]
    main_keys = _keyed(connection, mains)
    if named is None:
        rows = [row for row in before if row["address"] is not None or row["stored_key"] in main_keys]
    else:
        rows = _listed(connection, whose, main_keys, named, kept, moment)
    if rows != before:
        forget(connection, whose)
        insert_many(
            connection, recipient_addresses, sealing.of(connection).sealed_all(recipient_addresses, rows)
        )
    return [SimpleNamespace(**row) for row in rows]


def _listed(
    connection: sa.Connection,
    whose: Who,
    main_keys: Collection[str],
    named: Sequence[AdditionalAddress],
    kept: Sequence[Any],
    moment: datetime,
) -> list[dict[str, Any]]:
    """The rows for `named`, and those of main addresses that were verified. Of two with the same address, the
    later counts."""
    known = {row.stored_key: row for row in kept}
    keyed = {sealing.stored_key(connection, url_of(one.address)): one for one in named}
    rows = [
        {
            **_row(whose, key, known[key].added_at if key in known else moment),
            "address": one.address,
            "place": place,
            "verified_at": _verified_at(one, known.get(key), moment),
        }
        for place, (key, one) in enumerate(keyed.items())
    ]
    left = (known[key] for key in sorted(main_keys) if key in known and key not in keyed)
    return [*rows, *({**vars(row), "address": None, "place": 0} for row in left if row.verified_at)]


def _row(whose: Who, stored_key: str, added_at: datetime) -> dict[str, Any]:
    """The row of a main address that is not verified."""
    return {
        "client": whose[0],
        "key": whose[1],
        "stored_key": stored_key,
        "kind": kind_of(stored_key),
        "address": None,
        "place": 0,
        "verified_at": None,
        "added_at": added_at,
    }


def _verified_at(one: AdditionalAddress, known: Any, moment: datetime) -> datetime | None:
    before = known.verified_at if known is not None else None
    if one.verified is None:
        return before
    return (before or moment) if one.verified else None


def described(connection: sa.Connection, mains: Iterable[str], rows: Sequence[Any]) -> list[dict[str, Any]]:
    """The addresses of a recipient: the main ones, and those of its list in their order."""
    known, main_keys = {row.stored_key: row for row in rows}, _keyed(connection, mains)
    others = {row.stored_key: row.address for row in rows if row.address and row.stored_key not in main_keys}
    return [
        {
            "address": address,
            "kind": kind_of(address),
            "main": key in main_keys,
            "verified": bool(key in known and known[key].verified_at),
            "verified_at": known[key].verified_at if key in known else None,
        }
        for key, address in {**main_keys, **others}.items()
    ]


def _keyed(connection: sa.Connection, addresses: Iterable[str]) -> dict[str, str]:
    """`addresses` by their hash."""
    return {sealing.stored_key(connection, url_of(one)): one for one in addresses}


def confirm(connection: sa.Connection, whose: Who, stored_key: str, is_main: bool, moment: datetime) -> None:
    """Note that a recipient proved at `moment` that an address is theirs. One that is neither a main address
    nor in the recipient's list is not noted."""
    if not is_main:
        its = *_are(whose), _TABLE.stored_key == stored_key, _TABLE.address.is_not(None)
        connection.execute(sa.update(recipient_addresses).where(*its).values(verified_at=moment))
        return
    # Locked, so that no row is left if the recipient is forgotten meanwhile.
    known = sa.select(recipients.c.key).where(recipients.c.client == whose[0], recipients.c.key == whose[1])
    if connection.scalar(known.with_for_update()) is None:
        return
    row = {**_row(whose, stored_key, moment), "verified_at": moment}
    insert_many(connection, recipient_addresses, [row], on_conflict=_renew)


def _renew(insert: Any) -> Any:
    return insert.on_conflict_do_update(
        index_elements=_KEY, set_={"verified_at": insert.excluded.verified_at}
    )


def to_use(
    connection: sa.Connection, people: Collection[Who], category: Category, moment: datetime
) -> dict[tuple[Who, str], str]:
    """The first address of the lists of `people` that is verified and has no hard bounce, by recipient and
    kind. There is none if a suppression of another cause stops notifications of `category` there: somebody
    who complained is not evaded. A row that cannot be read is left out."""
    given = {
        "clients": list({client for client, _ in people}),
        "keys": list({key for _, key in people}),
        "category": str(category),
        "moment": moment,
    }
    read = partial(sealing.of(connection).row, recipient_addresses)
    found: dict[tuple[Who, str], str | None] = {}
    for row in tolerant.each(connection, _TO_USE, _KEY, read, given).good:
        found.setdefault(((row.client, row.key), row.kind), None if row.is_unwanted else row.address)
    return {where: address for where, address in found.items() if address is not None}


_UNWANTED = suppressions.is_stopped(_TABLE.stored_key, _TABLE.client, suppressions.NO_HARD_BOUNCE)
_TO_USE = (
    sa.select(
        _TABLE.client,
        _TABLE.key,
        _TABLE.stored_key,
        _TABLE.kind,
        _TABLE.address,
        _UNWANTED.label("is_unwanted"),
    )
    .where(
        in_texts(_TABLE.client, "clients"),
        in_texts(_TABLE.key, "keys"),
        _TABLE.address.is_not(None),
        _TABLE.verified_at.is_not(None),
        sa.or_(_UNWANTED, ~suppressions.is_stopped(_TABLE.stored_key, _TABLE.client)),
    )
    .order_by(_TABLE.place, _TABLE.stored_key)
)


def keys_of(connection: sa.Connection, whose: Who) -> list[str]:
    """The hashes of a recipient's addresses that have a row."""
    return list(connection.scalars(sa.select(_TABLE.stored_key).where(*_are(whose))))


def forget(connection: sa.Connection, whose: Who) -> bool:
    """Delete the rows of a recipient. Returns whether there was any."""
    return connection.execute(sa.delete(recipient_addresses).where(*_are(whose))).rowcount > 0


def forget_without_recipient(connection: sa.Connection, client: str, keys: Collection[str]) -> None:
    """Delete the rows of those of `keys` that are recipients no more."""
    theirs = _TABLE.client == client, _TABLE.key.in_(keys)
    known = sa.exists().where(recipients.c.client == _TABLE.client, recipients.c.key == _TABLE.key)
    connection.execute(sa.delete(recipient_addresses).where(*theirs, ~known))


def _are(whose: Who) -> tuple[sa.ColumnElement[bool], ...]:
    return _TABLE.client == whose[0], _TABLE.key == whose[1]
