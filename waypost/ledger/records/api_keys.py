"""The API keys of applications at the gateway: kept as hashes, with the scopes of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import api_keys
from waypost.system.clock import now


@dataclass(frozen=True, slots=True)
class ApiKey:
    """client: the application that has the key. rate: requests per second; None for no limit. brand: the only
    brand that its requests are for; None if they choose. only_to: the only addresses and @domains that its
    requests may go to; None for any."""

    id: str
    client: str
    scopes: list[str]
    rate: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    secret_hash: bytes = field(repr=False, default=b"")
    brand: str | None = None
    only_to: list[str] | None = None

    def works(self, moment: datetime) -> bool:
        """Whether the key is valid at `moment`."""
        over = (self.expires_at, self.revoked_at)
        return all(end is None or moment < end for end in over)


class UnknownKey(LookupError):
    """No key has that id, or its row cannot be read."""


@dataclass(frozen=True, slots=True)
class KeysFound:
    """damaged: the ids of keys whose rows cannot be read; they are not valid."""

    keys: list[ApiKey]
    damaged: list[str]


async def add(ledger: Ledger, key: ApiKey) -> None:
    """Store a new key."""
    await ledger.write(lambda connection: connection.execute(sa.insert(api_keys), _row(key)))


async def rotate(ledger: Ledger, old: str, new: ApiKey, overlap: timedelta) -> ApiKey:
    """Store `new`, and end `old` after `overlap`, in one transaction. Returns the old key. Raises UnknownKey
    when there is no `old`, after storing `new`."""

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.insert(api_keys), _row(new))
        connection.execute(_ending(old, now() + overlap))

    await ledger.write(work)
    return await find(ledger, old)


async def all_keys(ledger: Ledger) -> KeysFound:
    """All keys, including those that no longer work, by client and age."""
    return await _find(ledger, sa.select(api_keys).order_by(api_keys.c.client, api_keys.c.created_at))


async def active_keys(ledger: Ledger) -> KeysFound:
    """The keys that are valid now."""
    moment = now()
    ends = (api_keys.c.expires_at, api_keys.c.revoked_at)
    return await _find(
        ledger, sa.select(api_keys).where(*(sa.or_(end.is_(None), end > moment) for end in ends))
    )


async def find(ledger: Ledger, id: str) -> ApiKey:
    """The key with that id. Raises UnknownKey."""
    found = await _find(ledger, sa.select(api_keys).where(api_keys.c.id == id))
    if found.damaged:
        raise UnknownKey(f"the row of key {id} cannot be read, so the key is not valid: create another")
    if not found.keys:
        raise UnknownKey(f"unknown key {id}; `waypost keys list` shows all keys")
    return found.keys[0]


async def _find(ledger: Ledger, wanted: sa.Select[Any]) -> KeysFound:
    keys, damaged = await ledger.read(
        lambda connection: tolerant.each(connection, wanted, [api_keys.c.id], _key)
    )
    return KeysFound(keys, [tolerant.text(one.key) for one in damaged])


async def end(ledger: Ledger, id: str) -> ApiKey:
    """End a key now. Raises UnknownKey."""
    await ledger.write(lambda connection: connection.execute(_ending(id, now())))
    return await find(ledger, id)


def _ending(id: str, moment: datetime) -> sa.Update:
    """An earlier end of the key stays."""
    table = api_keys
    sooner = sa.or_(table.c.revoked_at.is_(None), table.c.revoked_at > moment)
    return sa.update(table).where(table.c.id == id, sooner).values(revoked_at=moment)


def _row(key: ApiKey) -> dict[str, Any]:
    return {column.name: getattr(key, column.name) for column in api_keys.c}


def _key(row: Any) -> ApiKey:
    tolerant.checked(row, api_keys)
    if not _are_texts(row.scopes):
        raise TypeError("scopes")
    if row.only_to is not None and not _are_texts(row.only_to):
        raise TypeError("only_to")
    return ApiKey(**{column.name: getattr(row, column.name) for column in api_keys.c})


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[Any]", value))
