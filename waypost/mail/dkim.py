"""DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, over the body and the fields a reader acts on."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

# Listed once more than they occur (section 8.15), so that a field added later breaks the signature: fields of
# section 5.4.1, those that tell how to read the body, and those that RFC 8058, section 4, requires.
OVERSIGNED = (
    "From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post",
)  # fmt: skip
# Signed if present. A mail that is passed on may have them; a mailing list adds them.
COVERED = ("List-Id", "List-Help", "List-Subscribe", "List-Post", "List-Owner", "List-Archive")

# A mail program offers its button to unsubscribe only if both are signed (RFC 8058, section 4). A signature
# without From is not valid (RFC 6376, section 5.4).
ALWAYS = ("From", "List-Unsubscribe", "List-Unsubscribe-Post")

_SIGNABLE = {name.lower().encode(): name for name in (*OVERSIGNED, *COVERED)}

_FOLD = re.compile(rb"\r\n(?=[ \t])")
_BLANKS = re.compile(rb"[ \t]+")
_RUN = re.compile(rb"  +")
_TRAILING = re.compile(rb" \r\n")
_WIDTH = 72  # characters of a line of the signature


@dataclass(frozen=True, slots=True)
class Signer:
    """One private key and the name its public half is published under: `selector`._domainkey.`domain`.

    unsigned: fields that the signature leaves out, in lower case, because a relay rewrites them.
    """

    domain: str
    selector: str
    key: PrivateKey = field(repr=False)
    unsigned: frozenset[bytes] = frozenset()

    def serves(self, domain: str) -> bool:
        """Whether DMARC accepts its signature for mail from `domain`: it is of the domain, or of a parent
        (RFC 7489, section 3.1.1)."""
        return f".{domain}".endswith(f".{self.domain}")

    @property
    def algorithm(self) -> str:
        """The algorithm's name in the signature."""
        return "ed25519-sha256" if isinstance(self.key, Ed25519PrivateKey) else "rsa-sha256"

    @property
    def record(self) -> str:
        """The TXT record to publish (section 3.6.1; RFC 8463, section 4.2)."""
        if isinstance(self.key, Ed25519PrivateKey):
            public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            return f"v=DKIM1; k=ed25519; p={b64encode(public).decode()}"
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={b64encode(public).decode()}"

    def sign(self, data: bytes) -> bytes:
        """Sign `data`. Ed25519 signs its SHA-256 hash (RFC 8463, section 3)."""
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(hashlib.sha256(data).digest())
        return self.key.sign(data, PKCS1v15(), SHA256())


def signed(message: bytes, signers: Sequence[Signer], at: datetime) -> bytes:
    """`message` (with CRLF line ends), preceded by a DKIM-Signature header for each signer."""
    if not signers:
        return message
    head, _, body = message.partition(b"\r\n\r\n")
    headers = _headers(head)
    body_hash = b64encode(hashlib.sha256(relaxed_body(body)).digest()).decode()
    when, how = f"t={int(at.timestamp())}", f"bh={body_hash};\r\n b="
    return b"".join([*(_signature(signer, headers, when, how) for signer in signers), message])


def _signature(signer: Signer, headers: Mapping[bytes, bytes], when: str, how: str) -> bytes:
    """The header, with its line end. Its own value is signed with an empty `b=` (section 3.7)."""
    covered = tuple(name for name in _SIGNABLE if name in headers and name not in signer.unsigned)
    data = b"".join([b"%b:%b\r\n" % (name, headers[name]) for name in covered])
    who = f"d={signer.domain};\r\n s={signer.selector}"
    what = f"h={_listed(covered, signer.unsigned)};\r\n {how}"
    value = f"v=1; a={signer.algorithm}; c=relaxed/relaxed; {who}; {when};\r\n {what}"
    own = b"dkim-signature:" + relaxed_value(value.encode())
    coded = b64encode(signer.sign(data + own)).decode()
    lines = "\r\n ".join(coded[at : at + _WIDTH] for at in range(0, len(coded), _WIDTH))
    return f"DKIM-Signature: {value}{lines}\r\n".encode()


def _headers(head: bytes) -> dict[bytes, bytes]:
    """The headers by lower-case name, relaxed (section 3.4.2). The last of several headers counts."""
    lines = _FOLD.sub(b"", head).split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    return {name.lower(): relaxed_value(value) for name, _, value in pairs}


@lru_cache(64)
def _listed(covered: tuple[bytes, ...], unsigned: frozenset[bytes]) -> str:
    """The value of `h=`, folded. A name listed more often than it occurs signs the header's absence."""
    lines = [""]
    for lowered, name in _SIGNABLE.items():
        for _ in range((lowered in covered) + (name in OVERSIGNED and lowered not in unsigned)):
            if len(lines[-1]) + len(name) > _WIDTH:
                lines.append("")
            lines[-1] += f"{name}:"
    return "\r\n ".join(lines).removesuffix(":")


def relaxed_value(value: bytes) -> bytes:
    """A header's value, unfolded and stripped, each run of blanks as one space (section 3.4.2)."""
    return _BLANKS.sub(b" ", _FOLD.sub(b"", value)).strip(b" ")


def relaxed_body(body: bytes) -> bytes:
    """The body with each run of blanks as one space, no blanks at line ends, and no empty lines at its end
    (section 3.4.4). It searches for runs only: an order-sized mail has a thousand single blanks."""
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    body = _TRAILING.sub(b"\r\n", _RUN.sub(b" ", body)).rstrip(b" \r\n")
    return body + b"\r\n" if body else b""
