"""Header values as written on the wire; a value that could start another header is rejected.

The policy of Python 3.11.7 writes `=?utf-8?q?a=0D=0ABcc:_e@x.test?=` as a real Bcc line. So this module
checks values after decoding, and encodes them itself.
"""

from __future__ import annotations

import re
from email import errors, policy
from email.header import Header
from email.utils import formataddr
from functools import lru_cache

from waypost.mail.address import one_address
from waypost.mail.encoded_words import encoded, read_leniently, words_in

CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\ud800-\udfff]")
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bBqQ]\?")
_CRLF = "\r\n"
_PLAIN_NAME = re.compile(r"^[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*$")
# Nearly every address in the ledger: it can be written in a header without another check.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+")
_NOT_ONE = "not a single sender such as 'Shop <no-reply@shop.example>'"
SENSIBLE = 78  # characters that a line should have at most; RFC 5322, section 2.1.1
MAX_LINE = 998  # characters that a line must have at most
LONGEST_MAILBOX = MAX_LINE  # characters of a name and an address, unfolded
MOST_COMMENTS = 10


class HeaderError(ValueError):
    """A header value that must not be sent. Says which header and why, never the value."""


def checked(name: str, value: str) -> str:
    """Return `value`. Raises HeaderError if it contains a control character, directly or once decoded, or
    half a surrogate pair, which no encoding can carry.

    RFC 5322, section 2.2, allows no control characters; encoded words (RFC 2047) could smuggle them in.
    """
    if CONTROL.search(value) or CONTROL.search(_decoded(value)):
        raise HeaderError(f"{name} contains a control character (a line break, for example)")
    return value


def _decoded(value: str) -> str:
    """All bytes that a reader may decode from encoded words, each as one character, whatever the charset.
    Empty without encoded words."""
    if "=?" not in value:
        return ""
    strictly = (raw for _, raw in words_in(value))
    return "".join(raw.decode("latin-1") for raw in (*strictly, *read_leniently(value)))


def is_plain(value: str) -> bool:
    """Whether every reader shows `value` unchanged: it is ASCII, and nothing in it looks encoded."""
    return value.isascii() and ("=?" not in value or not _ENCODED_WORD.search(value))


def text(name: str, value: str) -> str:
    """An unstructured header line, folded, without its line end: `Subject: ...`.

    A value beyond ASCII, or with anything that looks like an encoded word, is encoded (RFC 2047), so that a
    reader sees exactly `value`.
    """
    checked(name, value)
    plain = is_plain(value)
    if plain and len(name) + 2 + len(value) <= SENSIBLE:
        return f"{name}: {value}"
    # Folding plain text keeps single spaces between words of a sensible length; encoding keeps all.
    if plain and all(0 < len(word) < 60 for word in value.split(" ")):
        return f"{name}: {Header(value, 'us-ascii', header_name=name, maxlinelen=76).encode(linesep=_CRLF)}"
    return f"{name}: {encoded(value, len(name) + 2)}"


def mailbox(name: str, address: str, display: str = "") -> str:
    """An address header line: `To: "Toms Spezialitäten" <tomsp@northwind.example>`.

    The domain goes out as A-labels (RFC 5890). Raises HeaderError.
    """
    checked(name, display)
    if not _PLAIN_ADDRESS.fullmatch(address):
        address = _one(name, address)
    if not display:
        return f"{name}: {address}"
    if is_plain(display):
        shown = display if _PLAIN_NAME.match(display) else formataddr((display, "")).removesuffix(" <>")
    else:
        shown = encoded(display, len(name) + 2)
    line = f"{name}: {shown} <{address}>"
    return line if len(line) <= SENSIBLE - 2 else f"{name}: {shown}\r\n <{address}>"


def _one(name: str, address: str) -> str:
    try:
        return one_address(address)
    except ValueError as error:
        raise HeaderError(f"{name}: {error}") from None


@lru_cache(256)
def parse_mailbox(value: str, name: str = "From") -> tuple[str, str]:
    """`Shop <no-reply@shop.example>` as (display name, address); cached, as a sender's mails share it.
    Raises ValueError.

    Limits are checked first: the parser takes quadratic time in a value's length, and recurses into nested
    comments.
    """
    if len(value) > LONGEST_MAILBOX:
        raise HeaderError(
            f"{name} is longer than {LONGEST_MAILBOX} characters, so it is not a single address"
        )
    if value.count("(") > MOST_COMMENTS:
        raise HeaderError(f"{name} has more than {MOST_COMMENTS} comments, so it is not a single address")
    checked(name, value)
    try:
        header = policy.default.header_factory(name, value)
        [found] = header.addresses
    except Exception:  # the standard library's parser raises any exception for an invalid address
        raise ValueError(_NOT_ONE) from None
    if any(isinstance(defect, errors.InvalidHeaderDefect) for defect in header.defects):
        raise ValueError(_NOT_ONE)
    return found.display_name, one_address(found.addr_spec)


@lru_cache(256)
def reply_to(value: str) -> str:
    """A Reply-To line from `Support <support@shop.example>`; cached, as most mails of a type share it.

    Its local part is ASCII: a server without SMTPUTF8 (RFC 6531) rejects other mails. Raises HeaderError.
    """
    try:
        display, address = parse_mailbox(value, "Reply-To")
    except HeaderError:
        raise
    except ValueError:
        raise HeaderError(
            "Reply-To is not a single address such as 'Support <support@shop.example>'"
        ) from None
    if not address.isascii():
        raise HeaderError("Reply-To has non-ASCII letters before its @, which many servers do not accept")
    return mailbox("Reply-To", address, display)
