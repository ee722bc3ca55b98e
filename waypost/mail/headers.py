"""Header values as bytes on the wire, and the refusal of anything that could start another header.

Python 3.11.7's own policy lets `=?utf-8?q?a=0D=0ABcc:_e@x.test?=` out as a real Bcc line, so what
callers reach is checked after decoding, and encoded here.
"""

from __future__ import annotations

import re
from email import errors, policy
from email.header import Header, decode_header
from email.utils import formataddr

from waypost.mail.address import one_address

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\ud800-\udfff]")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bBqQ]\?")
_CRLF = "\r\n"
_PLAIN_NAME = re.compile(r"^[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*$")


class HeaderError(ValueError):
    """A header value that must not go out. Says which header and why, never the value."""


def checked(name: str, value: str) -> str:
    """`value`, or HeaderError when it holds a control character (or half a surrogate pair, which
    no encoding can carry), as it stands or once decoded.

    RFC 5322 section 2.2 allows none; RFC 2047 encoded-words would smuggle them in.
    """
    if _CONTROL.search(value) or _CONTROL.search(_decoded(value)):
        raise HeaderError(f"{name} holds a control character (a line break, for example)")
    return value


def _decoded(value: str) -> str:
    if not _ENCODED_WORD.search(value):
        return value
    try:
        parts = decode_header(value)
    except errors.HeaderParseError:
        return value
    return "".join(part if isinstance(part, str) else part.decode("latin-1", "replace") for part, _ in parts)


def text(name: str, value: str) -> str:
    """An unstructured header line, folded, without its line end: `Subject: ...`.

    Anything beyond plain ASCII, and anything that looks like an encoded-word, is encoded
    (RFC 2047), so that a reader sees exactly `value`.
    """
    checked(name, value)
    plain = value.isascii() and not _ENCODED_WORD.search(value)
    if plain and len(name) + 2 + len(value) <= 78:
        return f"{name}: {value}"
    # Folding plain text keeps single spaces between words of a sensible length; encoding keeps all.
    foldable = plain and all(0 < len(word) < 60 for word in value.split(" "))
    header = Header(value, "us-ascii" if foldable else "utf-8", header_name=name, maxlinelen=76)
    return f"{name}: {header.encode(linesep=_CRLF)}"


def mailbox(name: str, address: str, display: str = "") -> str:
    """An address header line: `To: "Toms Spezialitäten" <tomsp@northwind.example>`."""
    checked(name, display)
    if not display:
        return f"{name}: {address}"
    if display.isascii() and not _ENCODED_WORD.search(display):
        shown = display if _PLAIN_NAME.match(display) else formataddr((display, "")).removesuffix(" <>")
        line = f"{name}: {shown} <{address}>"
        return line if len(line) <= 78 else f"{name}: {shown}\r\n <{address}>"
    encoded = Header(display, "utf-8", header_name=name, maxlinelen=74).encode(linesep=_CRLF)
    return f"{name}: {encoded}\r\n <{address}>"


def parse_mailbox(value: str) -> tuple[str, str]:
    """`Shop <no-reply@shop.example>` as (display name, address). Raises ValueError."""
    checked("From", value)
    header = policy.default.header_factory("From", value)
    misread = any(isinstance(defect, errors.InvalidHeaderDefect) for defect in header.defects)
    if misread or len(header.addresses) != 1:
        raise ValueError("not one sender such as 'Shop <no-reply@shop.example>'")
    [found] = header.addresses
    return found.display_name, one_address(found.addr_spec)
