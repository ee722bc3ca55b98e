"""What of a JSON Web Key Set (RFC 7517) can be trusted to verify tokens with. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

SigningKey = RSAKey | ECKey | OKPKey

MOST = 100
RSA_BITS = 2048  # RFC 7518, section 3.3

# No "oct": a secret shared with an issuer is not published by it, and a public key is no secret.
_KINDS: dict[object, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}


def signing_keys(document: Mapping[str, Any]) -> list[SigningKey]:
    """Its keys that verify signatures, `MOST` at most. What is not understood is left out (RFC 7517,
    section 5), and so is a key whose private half is there for everybody to sign with."""
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
