"""Signatures by Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), which any of its libraries can
verify."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64


def secret(text: str) -> bytes:
    """Decode the key from `whsec_...`. Raises ValueError, which never repeats the text."""
    encoded = text.removeprefix(_PREFIX)
    try:
        if encoded == text:
            raise ValueError
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook's secret must be whsec_ and base64") from None
    return checked(key)


def written(key: bytes) -> str:
    """`key` encoded as `whsec_...`."""
    return _PREFIX + base64.b64encode(key).decode()


def checked(key: bytes) -> bytes:
    """`key` if it is as long as the specification requires. Raises ValueError."""
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"a webhook's secret must be {_SHORTEST} to {_LONGEST} bytes, as whsec_ and base64")
    return key


def signature(secrets: Sequence[bytes], id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one signature by each secret, so that receivers can change secrets
    without a gap. timestamp: seconds since 1970."""
    signed = f"{id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in secrets)
