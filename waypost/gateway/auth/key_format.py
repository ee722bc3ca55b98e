"""API keys as text: `wp_<id>_<secret>`. Pure: no database access."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

SCOPES = ("send", "read", "manage")

_KEY = re.compile(r"wp_(?P<id>[a-z2-7]{12})_(?P<secret>[A-Za-z0-9_-]{43})\Z")
_SCOPE = re.compile(r"(?:send|read|manage)(?::[a-z][a-z0-9]*(?:-[a-z0-9]+)*)?\Z")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key. text: shown once and never stored."""

    id: str
    text: str = field(repr=False)
    secret_hash: bytes = field(repr=False)


def mint() -> Minted:
    """A new key, of 256 random bits."""
    id, secret = "".join(secrets.choice(_ALPHABET) for _ in range(12)), secrets.token_urlsafe(32)
    return Minted(id, f"wp_{id}_{secret}", hashed(secret))


def parse_key(text: str) -> tuple[str, str] | None:
    """The id and the secret; None if `text` is not a key."""
    found = _KEY.match(text)
    return (found["id"], found["secret"]) if found else None


def hashed(secret: str) -> bytes:
    """A single SHA-256: 256 random bits cannot be guessed, however fast the hash is."""
    return sha256(secret.encode()).digest()


def matches(secret: str, secret_hash: bytes) -> bool:
    return hmac.compare_digest(hashed(secret), secret_hash)


def is_scope(text: str) -> bool:
    """Whether `text` is a valid scope; whether its type exists is not checked."""
    return _SCOPE.match(text) is not None


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """`scopes` without repeats, in order. Raises ValueError for an invalid scope, or if there are none."""
    found = list(dict.fromkeys(scopes))
    for scope in found:
        if not is_scope(scope):
            raise ValueError(
                f"unknown scope {scope!r}; use send, read or manage, or one of these for "
                "one type, such as send:order-confirmation"
            )
    if not found:
        raise ValueError("a key needs at least one scope: send, read or manage")
    return found


def allows(scopes: Iterable[str], action: str, type: str | None = None) -> bool:
    """Whether `scopes` permit `action` on notifications of `type`. None stands for every type; a scope for
    a single type does not cover it."""
    return any(scope == action or (type is not None and scope == f"{action}:{type}") for scope in scopes)


def types_of(scopes: Iterable[str], action: str) -> list[str] | None:
    """The types `action` is limited to; None for all."""
    if action in scopes:
        return None
    return [scope.partition(":")[2] for scope in scopes if scope.startswith(f"{action}:")]
