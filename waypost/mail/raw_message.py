"""A mail that its author finished: taken apart, checked, and rid of what is no reader's business."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from waypost.mail.encoded_words import decoded
from waypost.mail.headers import MAX_LINE, HeaderError, parse_mailbox

LARGEST_HEAD = 128 * 1024  # bytes
MOST_FIELDS = 1000

# RFC 5322, section 3.6: at most one of each. A second one is read by some and signed by nobody.
_ONCE = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version content-type "
    b"content-transfer-encoding list-unsubscribe list-unsubscribe-post x-waypost-type x-waypost-data".split()
)
# Who else got it, the way it took so far, and signatures that a change of it breaks.
_NOT_PASSED_ON = frozenset(
    b"bcc return-path received delivered-to x-original-to envelope-to apparently-to authentication-results "
    b"dkim-signature domainkey-signature".split()
)
_NOR_BEGINNING_WITH = (b"resent-", b"arc-", b"x-waypost-")

_NAME = re.compile(rb"[!-9;-~]+:")
_BETWEEN_FIELDS = re.compile(rb"\r\n(?![ \t])")
_EMPTY_FOLD = re.compile(rb"\r\n[ \t]+(?:\r\n|\Z)")  # read as the end of the head by some
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,400}@[!-;=?-~]{1,400}>")


Fields = tuple[tuple[bytes, bytes], ...]


class MailError(ValueError):
    """A mail that cannot be passed on. Says which part and why, never what is in it."""


@dataclass(frozen=True, slots=True)
class FinishedMail:
    """fields: its header fields in order, each as it was written, its name in lower case beside it and its
    line end left out. body: everything after the empty line. authors: the addresses it says it is from, that
    of From and that of Sender where there is one."""

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
        """Its author's Message-ID, empty where it is none."""
        found = self.value("Message-ID")
        return found if _MESSAGE_ID.fullmatch(found) else ""

    def without(self, *names: str) -> FinishedMail:
        """The same without the fields of these names."""
        left_out = {name.lower().encode() for name in names}
        return replace(self, fields=tuple(one for one in self.fields if one[0] not in left_out))

    def to_pass_on(self) -> FinishedMail:
        """The same without Bcc, the way it took so far and what was signed on it."""
        kept = tuple(
            (name, written)
            for name, written in self.fields
            if name not in _NOT_PASSED_ON and not name.startswith(_NOR_BEGINNING_WITH)
        )
        return replace(self, fields=kept)

    def __bytes__(self) -> bytes:
        return b"".join([*(written + b"\r\n" for _, written in self.fields), b"\r\n", self.body])


def parse(mail: bytes) -> FinishedMail:
    """`mail` (RFC 5322, with lines ended by CRLF, none over 998) taken apart. Raises MailError."""
    if not mail.count(b"\r\n") == mail.count(b"\r") == mail.count(b"\n"):
        raise MailError("a line ends in something other than CRLF")
    if b"\0" in mail:
        raise MailError("it holds a NUL character")
    if _has_long_line(mail):
        raise MailError(f"a line is longer than the {MAX_LINE} characters it may have")
    head, _, body = (b"", b"", mail[2:]) if mail.startswith(b"\r\n") else mail.partition(b"\r\n\r\n")
    if len(head) > LARGEST_HEAD:
        raise MailError(f"its header has more than {LARGEST_HEAD:,} bytes")
    fields = _fields(head.removesuffix(b"\r\n"))
    return FinishedMail(fields, body, _authors(fields))


def _has_long_line(mail: bytes) -> bool:
    """Looks at the last line end in reach, then on from there: two looks cover a thousand bytes or more."""
    reach, at = MAX_LINE + 2, 0
    while len(mail) - at > MAX_LINE:
        end = mail.rfind(b"\n", at, at + reach)
        if end < 0:
            return True
        at = end + 1
    return False


def _fields(head: bytes) -> Fields:
    if not head.isascii():
        raise MailError("its header has letters beyond ASCII: encode them as RFC 2047 has it")
    if _CONTROL.search(head) or _EMPTY_FOLD.search(head):
        raise MailError("its header holds a control character or a line of blanks")
    fields: list[tuple[bytes, bytes]] = []
    for number, written in enumerate(_BETWEEN_FIELDS.split(head, MOST_FIELDS) if head else [], 1):
        if number > MOST_FIELDS:
            raise MailError(f"its header has more than {MOST_FIELDS:,} fields")
        named = _NAME.match(written)
        if named is None:
            raise MailError(f"field {number} of its header is not of the form Name: value")
        name, value = named[0][:-1].lower(), written[named.end() :]
        if name not in _ONCE or value.strip():  # a field without a value is as if it were not there
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
        raise MailError(f"{name} is not one address such as 'Shop <no-reply@shop.example>'") from None
