"""The keys that WAYPOST_DKIM_KEY names, read once when a process starts."""

from __future__ import annotations

import binascii
from base64 import b64decode
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from waypost.mail.address import one_address
from waypost.mail.dkim import ALWAYS, COVERED, OVERSIGNED, PrivateKey, Signer

LEAST_BITS = 1024  # RFC 8301, section 3.2; verifiers reject shorter keys
_SEED = 32  # bytes of an Ed25519 private key (RFC 8032, section 5.1.5)
_LIKE_A_PATH = ("/", ".", "~")


class KeyUnusable(ValueError):
    """A DKIM setting that cannot be used. Names the setting and says why, never its value."""


def signers(keys: str, selectors: str, domain: str, unsigned: str = "") -> list[Signer]:
    """A signer for each key, in order; empty without keys.

    keys: files, or keys as PEM or base64 (PKCS#8, PKCS#1, or the 32 bytes of Ed25519), separated by
    commas. selectors: one per key, separated by commas. domain: the signing domain, or one per key, separated
    by commas. unsigned: header fields
    that no signature covers, separated by commas. Raises KeyUnusable.
    """
    found, names = _listed(keys), _listed(selectors)
    if not found:
        if names:
            raise KeyUnusable("WAYPOST_DKIM_KEY is not set, though WAYPOST_DKIM_SELECTOR is")
        return []
    if len(found) != len(names):
        raise KeyUnusable(
            f"WAYPOST_DKIM_SELECTOR has {len(names)} and WAYPOST_DKIM_KEY {len(found)} "
            "entries: each key needs its own selector"
        )
    domains, left_out = _domains(domain, len(found)), _unsigned(unsigned)
    places = list(zip(domains, names, strict=True))
    if len(set(places)) < len(places):
        raise KeyUnusable("WAYPOST_DKIM_SELECTOR has the same selector twice for a domain")
    for where, name in places:
        _check_selector(name, where)
    return [
        Signer(where, name, _key(value), left_out) for (where, name), value in zip(places, found, strict=True)
    ]


def _domains(domain: str, count: int) -> list[str]:
    """The domain of each of `count` keys."""
    named = [_domain(one) for one in _listed(domain)] or [_domain(domain)]
    if len(named) not in (1, count):
        raise KeyUnusable(
            f"WAYPOST_DKIM_DOMAIN has {len(named)} and WAYPOST_DKIM_KEY {count} entries: give one domain for "
            "all keys, or one for each"
        )
    return named * count if len(named) == 1 else named


def _unsigned(names: str) -> frozenset[bytes]:
    """The fields to leave out, in lower case."""
    known = {name.lower(): name for name in (*OVERSIGNED, *COVERED) if name not in ALWAYS}
    found = {name.lower() for name in _listed(names)}
    if found - known.keys():
        raise KeyUnusable(
            f"WAYPOST_DKIM_UNSIGNED: use any of {', '.join(known.values())}; "
            f"{', '.join(ALWAYS)} are always signed"
        )
    return frozenset(name.encode() for name in found)


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _domain(value: str) -> str:
    """The domain as A-labels (RFC 5890), the form used in DNS."""
    try:
        return one_address(f"postmaster@{value}").rpartition("@")[2]
    except ValueError:
        raise KeyUnusable("WAYPOST_DKIM_DOMAIN is not a domain such as shop.example") from None


def _check_selector(name: str, domain: str) -> None:
    try:
        one_address(f"postmaster@{name}.{domain}")
        ascii_only = name.isascii()
    except ValueError:
        ascii_only = False
    if not ascii_only:
        raise KeyUnusable("WAYPOST_DKIM_SELECTOR may have only letters, digits, - and .")


def _key(value: str) -> PrivateKey:
    key = _loaded(_content(value))
    if isinstance(key, RSAPrivateKey):
        if key.key_size < LEAST_BITS:
            raise _unusable(f"an RSA key of {key.key_size} bits; use at least {LEAST_BITS}, better 2048")
        return key
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable("a private key of another kind; use RSA or Ed25519")
    return key


def _content(value: str) -> bytes:
    """The key's bytes: the content of the file if `value` names one, else `value`."""
    if value.startswith("-----BEGIN"):
        return value.encode()
    try:
        path = Path(value).expanduser()
        if path.is_file() or (value.startswith(_LIKE_A_PATH) and not _decoded(value.encode())):
            return path.read_bytes().strip()
    except (OSError, RuntimeError, ValueError) as error:  # also a key too long for a path
        reason = getattr(error, "strerror", None)
        if value.startswith(_LIKE_A_PATH) or isinstance(error, PermissionError):
            raise KeyUnusable(f"WAYPOST_DKIM_KEY: the file cannot be read ({reason or 'no path'})") from None
    return value.encode()


def _loaded(content: bytes) -> object:
    try:
        if content.startswith(b"-----BEGIN"):
            if b"PUBLIC KEY" in content.splitlines()[0]:
                raise _unusable("a public key; use the private key")
            lines = content.replace(b"\\n", b"\n")  # as an .env file holds line ends
            return load_pem_private_key(lines, password=None)
        der = _decoded(content) or content
        if len(der) == _SEED:
            return Ed25519PrivateKey.from_private_bytes(der)
        return load_der_private_key(der, password=None)
    except TypeError:
        raise _unusable("a private key with a password; remove the password") from None
    except KeyUnusable:
        raise
    except (ValueError, UnsupportedAlgorithm):
        raise _unusable("neither an existing file nor a private key in PEM or base64") from None


def _decoded(text: bytes) -> bytes:
    """`text` decoded from base64; empty if it is not base64, or is shorter than a key."""
    try:
        found = b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return b""
    return found if len(found) >= _SEED else b""


def _unusable(what: str) -> KeyUnusable:
    return KeyUnusable(f"WAYPOST_DKIM_KEY is {what}")
