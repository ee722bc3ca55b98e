"""What a mail says, however it was built: the same words and files, from and to the same people.

A program that submits a mail again often builds it anew: with the same Message-ID, and with another Date,
other boundaries, encodings and folds. Such a mail is a repeat of the first.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.message import Message
from email.policy import compat32
from hashlib import sha256

from waypost.mail.finished import FinishedMail
from waypost.mail.words import CHARSETS, decoded

_FIELDS = ("From", "Sender", "Reply-To", "To", "Cc", "Subject")
# The parser looks at each line once for each multipart around it, and at a Content-Type or a
# Content-Disposition anew for each of its parameters. A mail with more of either than any program writes is
# compared by its bytes.
_MOST_NESTED = 20
_LONGEST_TYPE = 2000  # characters
_LONG_TYPE = re.compile(rb"(?im)^content-(?:type|disposition):.*(?:\r\n[ \t].*){12}")


def meaning(mail: FinishedMail) -> bytes:
    """32 bytes that are the same for two mails that say the same (SHA-256). Takes time by the mail's size."""
    hashed = sha256()
    for name in _FIELDS:
        hashed.update(f"{name}: {' '.join(decoded(mail.value(name)).split())}\n".encode(errors="replace"))
    for piece in _pieces(mail):
        hashed.update(len(piece).to_bytes(8))
        hashed.update(piece)
    return hashed.digest()


def _pieces(mail: FinishedMail) -> Iterator[bytes]:
    """Of each part its type, its file's name and its content; the bytes of a mail that is too intricate."""
    if _is_intricate(mail):
        yield mail.value("Content-Type").encode()
        yield mail.body
        return
    for part in email.message_from_bytes(bytes(mail), policy=compat32).walk():
        yield part.get_content_type().encode(errors="replace")
        if not part.is_multipart():
            yield (part.get_filename() or "").encode(errors="replace")
            yield _content(part)


def _is_intricate(mail: FinishedMail) -> bool:
    return (
        any(len(mail.value(name)) > _LONGEST_TYPE for name in ("Content-Type", "Content-Disposition"))
        or sum(map(mail.body.lower().count, (b"multipart/", b"message/"))) > _MOST_NESTED
        or _LONG_TYPE.search(mail.body) is not None
    )


def _content(part: Message) -> bytes:
    """What a part holds, without its transfer encoding; a text in UTF-8, without line ends at its end."""
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    if part.get_content_maintype() != "text":
        return content
    charset = (part.get_content_charset() or "us-ascii").lower()
    if charset in CHARSETS:
        content = content.decode(charset, "replace").encode()
    return content.replace(b"\r\n", b"\n").rstrip(b"\n")
