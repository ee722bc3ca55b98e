"""Personal data in the ledger: sealed values, and addresses that are found by a keyed hash.

A ledger has a key for its hashes, made once and kept in `installation`, sealed under the key ring. The ring
may change; the hashes stay.
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast
from uuid import UUID
from weakref import ReferenceType, ref

import orjson
import sqlalchemy as sa

from waypost.ledger.database.bulk import LONG, do_nothing, insert_many
from waypost.ledger.database.tables import (
    attempts,
    installation,
    notifications,
    recipient_addresses,
    recipients,
    suppressions,
)
from waypost.ledger.database.unreachable import OtherDataKey
from waypost.mail.address import is_address_url
from waypost.system.key_ring import BEGIN, KeyRing, NotOpened, is_sealed

OPTION = "waypost_sealing"  # of an engine's execution options
HASH_KEY = "address key"  # the row of `installation`
_KEPT = sa.select(installation.c.value).where(installation.c.name == HASH_KEY)
_HASHED = "#"  # after mailto: or tel: in a hashed key; no address begins so
_DIGITS = 32  # hexadecimal, of a hash
_KEYED = b"k"  # before a keyed digest

# The columns that hold personal data. Each value is sealed for its table, its column and its primary key.
SEALED: Mapping[sa.Table, tuple[str, ...]] = {
    recipients: ("email", "phone", "name", "attributes"),
    notifications: ("data", "named"),
    attempts: ("words",),
    suppressions: ("shown", "evidence"),
    recipient_addresses: ("address",),
}
_PRIMARY = {table: tuple(column.name for column in table.primary_key) for table in SEALED}
_IS_JSON = {
    table: frozenset(name for name in names if isinstance(table.c[name].type, sa.JSON))
    for table, names in SEALED.items()
}
_AT = {table: f"@{table.name}" for table in SEALED}


class Sealing:
    """What a ledger's connections seal and hash with.

    ring: gives the keys when they are first needed; without keys, values are stored as they are.
    """

    def __init__(self, ring: Callable[[], KeyRing] = KeyRing) -> None:
        self._find_ring = ring
        self._hash_key: bytes | None = None
        self._made_in: ReferenceType[Any] | None = None
        self._is_current = False  # whether the key of the hashes is known to be sealed with the newest key

    @cached_property
    def ring(self) -> KeyRing:
        return self._find_ring()

    def sealed(
        self, table: sa.Table, row: dict[str, Any], shared: Mapping[int, bytes] = MappingProxyType({})
    ) -> dict[str, Any]:
        """`row`, which has the primary key of `table`, with its personal data sealed. JSON may be bytes.
        shared: the sealed text of values that several rows have, by the value's identity."""
        if self.ring.newest is None:
            return row
        place = _place(table, [row[name] for name in _PRIMARY[table]])
        for name in SEALED[table]:
            if value := row.get(name):
                row[name] = shared.get(id(value)) or self._seal(table, name, value, place)
        return row

    def sealed_all(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Like `sealed`, for many rows. A long value that several have is sealed once, for all of them."""
        if self.ring.newest is None:
            return rows
        shared = self._shared(table, rows)
        return [self.sealed(table, dict(row), shared) for row in rows]

    def _shared(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> Mapping[int, bytes]:
        found: dict[int, bytes] = {}
        for name in _IS_JSON[table]:
            long = [value for row in rows if isinstance(value := row.get(name), bytes) and len(value) > LONG]
            count = Counter(map(id, long))
            several = {id(value): value for value in long if count[id(value)] > 1}
            found |= {
                id: self._seal(table, name, value, _AT[table], shared=True) for id, value in several.items()
            }
        return found

    def _seal(self, table: sa.Table, name: str, value: Any, place: str, shared: bool = False) -> Any:
        row = f"{name}{place}".encode()
        if name not in _IS_JSON[table]:
            return self.ring.seal(value.encode(), row)
        octets = value if isinstance(value, bytes) else orjson.dumps(value)
        return self.ring.seal_json(octets, row, shared)

    def opened(self, table: sa.Table, key: Sequence[Any], name: str, value: Any) -> Any:
        """The `value` of the column `name` in the row with the primary key `key`. Raises NotOpened."""
        if not isinstance(value, str) or not value.startswith(_BEGINS):
            return value
        bare = value[1:-1] if value[0] == '"' else value
        octets = self.ring.open(bare, f"{name}{_place(table, key)}".encode())
        return orjson.loads(octets) if name in _IS_JSON[table] else octets.decode()

    def row(self, table: sa.Table, row: Any) -> Any:
        """`row`, which has the primary key of `table`, with its personal data. Raises NotOpened."""
        # Public: the underscore keeps it apart from columns.
        found = SimpleNamespace(**row._asdict())  # pyright: ignore[reportPrivateUsage]
        key = [getattr(found, name) for name in _PRIMARY[table]]
        for name in SEALED[table]:
            if hasattr(found, name):
                setattr(found, name, self.opened(table, key, name, getattr(found, name)))
        return found

    def shown(self, table: sa.Table, key: Sequence[Any], name: str, value: Any) -> Any:
        """Like `opened`, for lists: a value that cannot be opened is None."""
        try:
            return self.opened(table, key, name, value)
        except NotOpened:
            return None

    def stored_key(self, connection: sa.Connection, key: str) -> str:
        """The ledger's key for `key`, a recipient's key or an address as a URL: an address is hashed. An id,
        and a key that is hashed already, stays as it is."""
        return self._hashed(connection, key) if is_address_in_clear(key) else key

    def keyed(self, connection: sa.Connection, digest: bytes) -> bytes:
        """A digest under the ledger's key of hashes: whoever has the ledger alone cannot find out by trial
        what was hashed. It has an octet more than a digest of SHA-256, which tells it from one."""
        return _KEYED + hmac.digest(self._key_of_hashes(connection), digest, "sha256")

    def known_key(self, connection: sa.Connection, key: str) -> str | None:
        """Like `stored_key`; None while the ledger has no key for its hashes."""
        if self._hash_key is None and self._kept(connection) is None:
            return None
        return self.stored_key(connection, key)

    def prepare(self, connection: sa.Connection) -> None:
        """Before anything is sealed in a transaction: make the key of the hashes, if the ledger has none, so
        that another process finds out that it cannot open what this one seals: it is sealed with the newest
        key. Raises OtherDataKey."""
        self._key_of_hashes(connection)
        if not self._is_current and self.ring.newest is not None:
            kept = self._kept(connection) or ""
            self._is_current = kept.startswith(self.ring.mark)
            if not self._is_current:
                self.reseal_hash_key(connection)

    def reseal_hash_key(self, connection: sa.Connection) -> int:
        """Seal the key of the hashes with the newest key. Returns how many rows changed."""
        kept = connection.scalar(_KEPT.with_for_update())
        if kept is None or kept.startswith(self.ring.mark):
            return 0
        made = self.sealed_hash_key(self.opened_hash_key(kept))
        change = sa.update(installation).where(installation.c.name == HASH_KEY)
        return connection.execute(change.values(value=made)).rowcount

    def check(self, connection: sa.Connection, again: bool = False) -> None:
        """Raise OtherDataKey unless this process can open what the ledger keeps. again: also if it could
        before: another process may seal with a newer key."""
        if (again or self._hash_key is None) and (found := self._kept(connection)) is not None:
            self._read(found)

    def _hashed(self, connection: sa.Connection, url: str) -> str:
        scheme, _, _ = url.partition(":")
        made = hmac.digest(self._key_of_hashes(connection), url.encode(), "sha256")
        return f"{scheme}:{_HASHED}{made.hex()[:_DIGITS]}"

    def _key_of_hashes(self, connection: sa.Connection) -> bytes:
        """Kept once it is known to be committed."""
        if self._hash_key is not None:
            return self._hash_key
        found = self._kept(connection)
        if found is None:
            found = self._make(connection)
        elif self._made_in is None or self._made_in() is not connection.get_transaction():
            self._hash_key = self._read(found)
        return self._hash_key or self._read(found)

    def _make(self, connection: sa.Connection) -> str:
        made = secrets.token_hex(32)
        if not connection.get_execution_options().get("waypost_writes", True):
            return made  # a read on SQLite: no row is hashed yet, so any key is right
        row = {"name": HASH_KEY, "value": self.sealed_hash_key(made)}
        insert_many(connection, installation, [row], on_conflict=do_nothing)
        self._made_in = ref(cast("Any", connection.get_transaction()))
        return self._kept(connection) or row["value"]

    def _kept(self, connection: sa.Connection) -> str | None:
        return connection.scalar(_KEPT)

    def sealed_hash_key(self, digits: str) -> str:
        """The key of the hashes, as it is kept."""
        return self.ring.seal(digits.encode(), HASH_KEY.encode()) if self.ring.newest else digits

    def opened_hash_key(self, kept: str) -> str:
        """Raises OtherDataKey."""
        try:
            return self.ring.open(kept, HASH_KEY.encode()).decode() if is_sealed(kept) else kept
        except NotOpened as error:
            raise OtherDataKey(error) from None

    def _read(self, kept: str) -> bytes:
        return bytes.fromhex(self.opened_hash_key(kept))


_BEGINS = (BEGIN, f'"{BEGIN}')


def _place(table: sa.Table, key: Sequence[Any]) -> str:
    """The name of a row, as part of the associated data."""
    if len(key) == 1 and isinstance(id := key[0], UUID):  # as most are
        return f"{_AT[table]}\0{id.hex}"
    return "\0".join([_AT[table], *[one.hex if isinstance(one, UUID) else str(one) for one in key]])


def of(connection: sa.Connection) -> Sealing:
    """The sealing of the ledger that `connection` is to."""
    return connection.get_execution_options().get(OPTION) or Sealing()


def stored_key(connection: sa.Connection, key: str) -> str:
    """The ledger's key for `key`; see `Sealing.stored_key`."""
    return of(connection).stored_key(connection, key)


def stored_keys(connection: sa.Connection, keys: Iterable[str]) -> dict[str, str]:
    """`keys` by the ledger's key for each."""
    box = of(connection)
    return {box.stored_key(connection, key): key for key in keys}


def is_address_in_clear(key: str) -> bool:
    """Whether a key is an address that is not hashed."""
    return is_address_url(key) and key.partition(":")[2][:1] != _HASHED
