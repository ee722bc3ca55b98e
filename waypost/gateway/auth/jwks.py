"""Selects the keys of a JSON Web Key Set (RFC 7517) that may verify tokens. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

SigningKey = RSAKey | ECKey | OKPKey

MOST = 100
RSA_BITS = 2048  # RFC 7518, section 3.3

# No "oct": an issuer does not publish a shared secret, and a published key is not secret.
_KINDS: dict[object, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


def signing_keys(document: Mapping[str, Any]) -> list[SigningKey]:
    """The keys that verify signatures, among the first `MOST`. Keys of an unknown form are left out (RFC
    7517, section 5), and so are keys with a published private half, because anyone could sign with them."""
    listed: object = document.get("keys")
    if not isinstance(listed, list):
        return []
    return list(_usable(cast(list[object], listed)[:MOST]))


def _usable(listed: list[object]) -> Iterator[SigningKey]:
    for one in listed:
        if not isinstance(one, dict):
            continue
        fields = cast(dict[str, Any], one)
        kind = _KINDS.get(fields.get("kty")) if isinstance(fields.get("kty"), str) else None
        if kind is None or "d" in fields or fields.get("use", "sig") != "sig":
            continue
        try:
            key = kind.import_key(fields)
            public = key.public_key
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if not isinstance(public, RSAPublicKey) or public.key_size >= RSA_BITS:
            yield key
