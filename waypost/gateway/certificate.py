"""Checks the gateway's TLS certificate and its key before the gateway listens."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from waypost.system.clock import now

# uvicorn's default ("TLSv1") leaves TLS 1.2 without an authenticated cipher and with unencrypted ones.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Unusable(ValueError):
    """A certificate or a key cannot be used. Says which file, and what is wrong with it."""


def check(certificate: Path, key: Path) -> None:
    """Raise Unusable unless the key matches the certificate and both can be used now."""
    first = _certificate(certificate)
    if _private_key(key) != first.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise Unusable(
            f"the key in {key} does not match the first certificate in {certificate}; use "
            "the matching key, and put the server's certificate before its issuers'"
        )
    ends = first.not_valid_after_utc
    if ends <= now():
        raise Unusable(f"the certificate in {certificate} expired at {ends:%Y-%m-%d %H:%M} UTC; renew it")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise Unusable(f"{certificate} and {key} cannot be used for TLS ({error.reason})") from None


def _certificate(file: Path) -> x509.Certificate:
    written = _read(file)
    try:
        return x509.load_pem_x509_certificates(written)[0]
    except ValueError:
        raise Unusable(f"{file} contains no certificate in PEM") from None


def _private_key(file: Path) -> bytes:
    """The public half of the key in `file`, as DER."""
    written = _read(file)
    try:
        found = load_pem_private_key(written, password=None)
    except TypeError:
        raise Unusable(f"the key in {file} has a passphrase; remove it") from None
    except ValueError:
        raise Unusable(f"{file} contains no private key in PEM") from None
    return found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Unusable(f"{file} cannot be read ({error.strerror})") from None
