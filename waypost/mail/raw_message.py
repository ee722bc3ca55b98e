"""Parses and checks a mail that its author finished, and removes the fields its reader must not get."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from waypost.mail.encoded_words import decoded
from waypost.mail.headers import MAX_LINE, HeaderError, parse_mailbox

LARGEST_HEAD = 128 * 1024  # bytes
MOST_FIELDS = 1000

# RFC 5322, section 3.6: at most one of each. Some readers show a second field, which no signature covers.
_ONCE = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version content-type "
    b"content-transfer-encoding list-unsubscribe list-unsubscribe-post x-waypost-type x-waypost-data".split()
)
# Other recipients, the mail's trace so far, and signatures that a change of the mail breaks.
_NOT_PASSED_ON = frozenset(
    b"bcc return-path received delivered-to x-original-to envelope-to apparently-to authentication-results "
    b"dkim-signature domainkey-signature".split()
)
_NOR_BEGINNING_WITH = (b"resent-", b"arc-", b"x-waypost-")

_NAME = re.compile(rb"[!-9;-~]+:")
_BETWEEN_FIELDS = re.compile(rb"\r\n(?![ \t])")
_EMPTY_FOLD = re.compile(rb"\r\n[ \t]+(?:\r\n|\Z)")  # some readers take it for the end of the head
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,400}@[!-;=?-~]{1,400}>")


Fields = tuple[tuple[bytes, bytes], ...]


class MailError(ValueError):
    """A mail that cannot be passed on. Says which part and why, never what it contains."""


@dataclass(frozen=True, slots=True)
class FinishedMail:
    """fields: the header fields in order, as (name in lower case, whole field as written without line end).
    body: everything after the empty line. authors: the address in From, and the one in Sender if there is a
    Sender."""

    fields: Fields = field(repr=False)
    body: bytes = field(repr=False)
    authors: tuple[str, ...] = field(repr=False)

    def value(self, name: str) -> str:
        """A field's value, unfolded (RFC 5322, section 2.2.3); empty when it is not there."""
        return _value(self.fields, name)

    @property
    def subject(self) -> str:
        return decoded(self.value("Subject"))

    @property
    def message_id(self) -> str:
        """The author's Message-ID; empty if it is missing or invalid."""
        found = self.value("Message-ID")
        return found if _MESSAGE_ID.fullmatch(found) else ""

    def without(self, *names: str) -> FinishedMail:
        """The mail without the fields of these names."""
        left_out = {name.lower().encode() for name in names}
        return replace(self, fields=tuple(one for one in self.fields if one[0] not in left_out))

    def to_pass_on(self) -> FinishedMail:
        """The mail without Bcc, trace fields and earlier signatures."""
        kept = tuple(
            (name, written)
            for name, written in self.fields
            if name not in _NOT_PASSED_ON and not name.startswith(_NOR_BEGINNING_WITH)
        )
        return replace(self, fields=kept)

    def __bytes__(self) -> bytes:
        return b"".join([*(written + b"\r\n" for _, written in self.fields), b"\r\n", self.body])


def parse(mail: bytes) -> FinishedMail:
    """Parse `mail` (RFC 5322; lines end in CRLF and have 998 characters at most). Raises MailError."""
    if not mail.count(b"\r\n") == mail.count(b"\r") == mail.count(b"\n"):
        raise MailError("a line does not end in CRLF")
    if b"\0" in mail:
        raise MailError("it contains a NUL character")
    if _has_long_line(mail):
        raise MailError(f"a line is longer than {MAX_LINE} characters")
    head, _, body = (b"", b"", mail[2:]) if mail.startswith(b"\r\n") else mail.partition(b"\r\n\r\n")
    if len(head) > LARGEST_HEAD:
        raise MailError(f"its header has more than {LARGEST_HEAD:,} bytes")
    fields = _fields(head.removesuffix(b"\r\n"))
    return FinishedMail(fields, body, _authors(fields))


def _has_long_line(mail: bytes) -> bool:
    """Finds the last line end in reach, then continues there: two searches cover a thousand bytes or more."""
    reach, at = MAX_LINE + 2, 0
    while len(mail) - at > MAX_LINE:
        end = mail.rfind(b"\n", at, at + reach)
        if end < 0:
            return True
        at = end + 1
    return False


def _fields(head: bytes) -> Fields:
    if not head.isascii():
        raise MailError("its header has non-ASCII letters; encode them (RFC 2047)")
    if _CONTROL.search(head) or _EMPTY_FOLD.search(head):
        raise MailError("its header contains a control character or a line of blanks")
    fields: list[tuple[bytes, bytes]] = []
    for number, written in enumerate(_BETWEEN_FIELDS.split(head, MOST_FIELDS) if head else [], 1):
        if number > MOST_FIELDS:
            raise MailError(f"its header has more than {MOST_FIELDS:,} fields")
        named = _NAME.match(written)
        if named is None:
            raise MailError(f"field {number} of its header does not have the form Name: value")
        name, value = named[0][:-1].lower(), written[named.end() :]
        if name not in _ONCE or value.strip():  # such a field without a value is dropped
            fields.append((name, written))
    counts = Counter(name for name, _ in fields if name in _ONCE)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise MailError(f"it has {twice.decode()} twice")
    return tuple(fields)


def _value(fields: Fields, name: str) -> str:
    wanted = name.lower().encode()
    for known, written in fields:
        if known == wanted:
            return written.partition(b":")[2].replace(b"\r\n", b"").strip().decode()
    return ""


def _authors(fields: Fields) -> tuple[str, ...]:
    if not _value(fields, "From"):
        raise MailError("From is missing")
    return tuple(_address(name, value) for name in ("From", "Sender") if (value := _value(fields, name)))


def _address(name: str, value: str) -> str:
    try:
        return parse_mailbox(value, name)[1]
    except HeaderError as error:
        raise MailError(str(error)) from None
    except ValueError:
        raise MailError(f"{name} is not a single address such as 'Shop <no-reply@shop.example>'") from None
