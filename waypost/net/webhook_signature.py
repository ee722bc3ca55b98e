"""Signatures by Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), so that any of its libraries
verifies them."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


def secret(text: str) -> bytes:
    """The key that `whsec_...` stands for. Raises ValueError, never repeating it."""
    encoded = text.removeprefix(_PREFIX)
    try:
        if encoded == text:
            raise ValueError
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook's secret is whsec_ and base64") from None
    return checked(key)


def written(key: bytes) -> str:
    """`whsec_...`, which stands for `key`."""
    return _PREFIX + base64.b64encode(key).decode()


def checked(key: bytes) -> bytes:
    """`key` if it is as long as the specification asks. Raises ValueError."""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"a webhook's secret is {_SHORTEST} to {_LONGEST} bytes, written whsec_ and base64")
    return key


def signature(secrets: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature by each secret, so that a secret can be replaced while
    both are known. timestamp: seconds since 1970."""
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in secrets)
