"""A hash of what a mail says: its words, files, sender and recipients, however the mail was built.

A program that submits a mail again often builds it anew: with the same Message-ID, but with another Date and
other boundaries, encodings and folds. Such a mail is a repeat of the first.

Written by hand: the standard library's parser takes a microsecond for each line and each multipart around it,
so it needs seconds for ten megabytes of short lines.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, a2b_qp
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.message import Message
from email.utils import collapse_rfc2231_value
from hashlib import sha256

from waypost.mail.encoded_words import CHARSETS, decoded
from waypost.mail.raw_message import LARGEST_HEAD, FinishedMail

_FIELDS = ("From", "Sender", "Reply-To", "To", "Cc", "Subject")
_OF_PARTS = ("Content-Type", "Content-Disposition", "Content-Transfer-Encoding")

# A part beyond these limits, which no program writes, is compared by its bytes. So are all multiparts of a
# mail with too many boundaries. Each level of parts is searched again, the library reads a field again for
# each parameter, and a part takes a thousand times longer than its boundary.
_MOST_BOUNDARIES = 1000
_MOST_NESTED = 10
_LONGEST_FIELD = 2000  # characters
_MOST_PARAMETERS = 50  # of a field
_LONGEST_BOUNDARY = 70  # characters, RFC 2046, section 5.1.1

_HEAD = re.compile(rb"(?:[!-9;-~]++[ \t]*+:[^\r]*+(?:\r\n[ \t][^\r]*+)*+(?:\r\n|\Z))*+")
_FIELD = re.compile(
    rb"(?:\A|\n)(Content-(?:Type|Disposition|Transfer-Encoding))[ \t]*+:([^\r]*+(?:\r\n[ \t][^\r]*+)*+)", re.I
)

Fields = Mapping[str, str]


def meaning(mail: FinishedMail) -> bytes:
    """A SHA-256 hash (32 bytes), equal for two mails that say the same. Takes linear time in the size."""
    hashed = sha256()
    for name in _FIELDS:
        hashed.update(f"{name}: {' '.join(decoded(mail.value(name)).split())}\n".encode(errors="replace"))
    fields = {name: mail.value(name) for name in _OF_PARTS}
    levels = _MOST_NESTED if mail.body.count(b"\n--") <= _MOST_BOUNDARIES else 0
    for piece in _pieces(fields, mail.body, levels):
        hashed.update(len(piece).to_bytes(8))
        hashed.update(piece)
    return hashed.digest()


def _pieces(fields: Fields, content: bytes, levels: int) -> Iterator[bytes]:
    """The type, file name and content of a part and of each part in it. levels: how many levels it opens."""
    if any(len(value) > _LONGEST_FIELD or value.count(";") > _MOST_PARAMETERS for value in fields.values()):
        yield from (*(value.encode() for value in fields.values()), content)
        return
    part = Message()
    for name, value in fields.items():
        part[name] = value
    yield part.get_content_type().encode(errors="replace")
    if levels and (parts := _parts(part, content)):
        for one in parts:
            yield from _pieces(*_taken_apart(one), levels - 1)
    else:
        name = _parameter(part, "filename", "Content-Disposition") or _parameter(part, "name")
        yield name.strip().encode(errors="replace")
        yield _said(part, content)


def _parts(part: Message, content: bytes) -> list[bytes]:
    """The parts of a multipart. Empty for any other part, also for a mail inside a mail."""
    boundary = _parameter(part, "boundary").rstrip() if part.get_content_maintype() == "multipart" else ""
    if not boundary or len(boundary) > _LONGEST_BOUNDARY:
        return []
    line = rb"\r\n--" + re.escape(boundary.encode(errors="replace")) + rb"(--)?[ \t]*+(?=\r\n|\Z)"
    _, *found = re.split(line, b"\r\n" + content)
    ends, parts = found[::2], found[1::2]
    whole = next((number for number, end in enumerate(ends) if end), len(parts))
    return [one.removeprefix(b"\r\n") for one in parts[:whole]]


def _parameter(part: Message, name: str, field: str = "Content-Type") -> str:
    """A parameter, decoded (RFC 2231) if its charset is in CHARSETS: Python caches every other charset name
    forever."""
    value = part.get_param(name, "", field)
    if isinstance(value, tuple) and (value[0] or "us-ascii").lower() not in CHARSETS:
        return value[2]
    return collapse_rfc2231_value(value)


def _taken_apart(part: bytes) -> tuple[Fields, bytes]:
    """The fields of a part, unfolded, and its content. The content begins at the first line that is not a
    field, or where the head exceeds its limit."""
    head = _HEAD.match(part, 0, LARGEST_HEAD)
    end = head.end() if head else 0
    fields: dict[str, str] = dict.fromkeys(_OF_PARTS, "")
    for name, value in reversed(_FIELD.findall(part[:end])):  # the first of several counts
        fields[name.decode().title()] = value.replace(b"\r\n", b"").strip().decode("latin-1")
    return fields, part[end:].removeprefix(b"\r\n")


def _said(part: Message, content: bytes) -> bytes:
    """A part's content without transfer encoding. A text is in UTF-8, without carriage returns and trailing
    line ends."""
    content = _decoded(part["Content-Transfer-Encoding"].lower(), content)
    if part.get_content_maintype() != "text":
        return content
    charset = _parameter(part, "charset").lower() or "us-ascii"
    if charset in CHARSETS:
        with suppress(UnicodeError):
            content = content.decode(charset).encode()
    return content.translate(None, b"\r").rstrip(b"\n")


def _decoded(encoding: str, content: bytes) -> bytes:
    """`content` decoded. Invalid base64 stays as it is: readers disagree about its meaning."""
    if encoding == "quoted-printable":
        return a2b_qp(content)
    if encoding == "base64":
        try:
            return a2b_base64(content.translate(None, b" \t\r\n"), strict_mode=True)
        except Error:
            return content
    return content
