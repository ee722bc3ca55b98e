"""Seals texts with AES-256-GCM (NIST SP 800-38D) under the newest key of a ring, and opens them again. Pure.

A sealed text is `sealed:1:KEY:TEXT`: the version of the format, the id of the key, and in base64 (RFC 4648) a
random nonce of 12 octets, the encrypted value and its tag of 16 octets. It opens only in the row that it was
made for, whose name is the associated data. A long text that several rows share opens in any row of its
column: it is `sealed:1:KEY:shared:TEXT`.
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import b64decode
from binascii import Error, a2b_base64, b2a_base64
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BEGIN = "sealed:1:"
KEY_OCTETS = 32
_NONCE = 12  # octets
_NONCE_LETTERS = 16  # of base64
_ID = re.compile(r"[a-z0-9-]{1,32}")
_SHARED = "shared:"
_NONCES_AT_ONCE = 256  # the system's source is asked for these together


class NotOpened(ValueError):
    """A sealed text cannot be opened. The message names its key and says what to do, and nothing else."""


class KeyMissing(NotOpened):
    """The ring does not have the key of a sealed text: another process may have it."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key of a ring. id: small letters, digits and hyphens; it stands in what the key seals."""

    id: str
    octets: bytes = field(repr=False)


class KeyRing:
    """Keys that open what they sealed. The first is the newest, and seals."""

    def __init__(self, keys: Iterable[DataKey] = ()) -> None:
        """keys: the newest first. Of two with the same id, the first counts."""
        first: dict[str, DataKey] = {}
        for key in keys:
            first.setdefault(key.id, key)
        self.keys = tuple(first.values())
        self.ids = tuple(key.id for key in self.keys)

    @cached_property
    def newest(self) -> str | None:
        """The id of the key that seals; None for a ring without keys."""
        return self.ids[0] if self.ids else None

    @cached_property
    def mark(self) -> str:
        """How a text begins that the newest key sealed."""
        return f"{BEGIN}{self.newest}:"

    def seal(self, value: bytes, row: bytes, shared: bool = False) -> str:
        """`value`, sealed for `row`: the name of its column, NUL, and its key. Needs a ring with a key.
        shared: whether it opens in other rows of its column too."""
        return b"".join(self._sealed(value, row, shared)).decode()

    def seal_json(self, value: bytes, row: bytes, shared: bool = False) -> bytes:
        """Like `seal`, as a text of JSON."""
        return b"".join((b'"', *self._sealed(value, row, shared), b'"'))

    def _sealed(self, value: bytes, row: bytes, shared: bool) -> Iterable[bytes]:
        """Apart, as each copy of a long value holds the event loop. The nonce in base64 needs no padding, so
        the two that follow the mark are the base64 of both together."""
        nonce, mark = _nonce(), self.mark
        if shared:
            mark, row = mark + _SHARED, _column(row)
        octets = self._newest_cipher.encrypt(nonce, value, row)
        return mark.encode(), b2a_base64(nonce, newline=False), b2a_base64(octets, newline=False)

    def open(self, sealed: str, row: bytes) -> bytes:
        """The value of a sealed text of `row`. Raises NotOpened."""
        end = sealed.find(":", len(BEGIN))
        id, begin = sealed[len(BEGIN) : end], end + 1
        if (cipher := self._ciphers.get(id)) is None:
            raise KeyMissing(
                f"personal data is sealed with the key {id}, which this process does not have: add that key "
                "to WAYPOST_DATA_KEYS, or set the WAYPOST_SECRET_KEY that it derives from"
            )
        if sealed.startswith(_SHARED, begin):
            begin, row = begin + len(_SHARED), _column(row)
        try:
            nonce = a2b_base64(sealed[begin : begin + _NONCE_LETTERS])
            return cipher.decrypt(nonce, a2b_base64(sealed[begin + _NONCE_LETTERS :]), row)
        except (Error, ValueError, self._invalid):
            raise NotOpened(
                f"personal data cannot be opened with the key {id}: it was changed, or another key has "
                "that id. Correct WAYPOST_DATA_KEYS, or restore the row from a backup"
            ) from None

    @cached_property
    def _newest_cipher(self) -> AESGCM:
        if self.newest is None:
            raise ValueError("a ring without keys seals nothing")
        return self._ciphers[self.newest]

    @cached_property
    def _invalid(self) -> type[Exception]:
        """What a cipher raises for a value that was changed."""
        from cryptography.exceptions import InvalidTag

        return InvalidTag

    @cached_property
    def _ciphers(self) -> dict[str, AESGCM]:
        # Imported here: a short command that opens nothing does not need it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return {key.id: AESGCM(key.octets) for key in self.keys}


def _column(row: bytes) -> bytes:
    return row.partition(b"\0")[0]


def is_sealed(value: object) -> bool:
    """Whether a value is a sealed text."""
    return isinstance(value, str) and value.startswith(BEGIN)


def key_of(sealed: str) -> str:
    """The id of the key of a sealed text."""
    return sealed.removeprefix(BEGIN).partition(":")[0]


def parse(text: str) -> list[DataKey]:
    """The keys of a ring as settings write it: `id:base64` entries, the newest first, separated by commas or
    white space. Raises ValueError, whose text never repeats a key."""
    found: list[DataKey] = []
    for number, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), 1):
        id, colon, written = entry.partition(":")
        if not colon or not _ID.fullmatch(id):
            raise ValueError(f"entry {number}: write id:key, with an id of small letters, digits and hyphens")
        if id in {one.id for one in found}:
            raise ValueError(f"entry {number}: the id {id} is there twice")
        found.append(DataKey(id, _octets(id, written)))
    if not found:
        raise ValueError("it has no key; write id:key")
    return found


def _octets(id: str, written: str) -> bytes:
    try:
        octets = b64decode(written, validate=True)
    except (Error, ValueError):
        octets = b""
    if len(octets) != KEY_OCTETS:
        raise ValueError(
            f"the key {id}: not {KEY_OCTETS} octets in base64, as `openssl rand -base64 {KEY_OCTETS}` prints"
        )
    return octets


def derived(secret: bytes) -> DataKey:
    """The data key that derives from an installation's secret key, for this purpose alone."""
    id = hmac.digest(secret, b"id of the data key", "sha256").hex()[:8]
    return DataKey(f"secret-{id}", hmac.digest(secret, b"personal data at rest", "sha256"))


def written(key: DataKey) -> str:
    """A key as settings write it."""
    return f"{key.id}:{b2a_base64(key.octets, newline=False).decode()}"


_fresh: deque[bytes] = deque()
os.register_at_fork(after_in_child=_fresh.clear)  # no nonce is used twice


def _nonce() -> bytes:
    """Random. The deque gives each to one thread only."""
    try:
        return _fresh.popleft()
    except IndexError:
        octets = os.urandom(_NONCE * _NONCES_AT_ONCE)
        _fresh.extend(octets[at : at + _NONCE] for at in range(_NONCE, len(octets), _NONCE))
        return octets[:_NONCE]
