"""The tokens in a mail that asks to unsubscribe (RFC 2369): in its subject, or alone on one of its lines.

Pure, and linear in the mail's size, unlike the parsers of the `email` package. A token inside a link does not
count in the text: a bounce or an automatic reply may quote a mail with its links.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterable, Iterator

from waypost.mail.encoded_words import decoded

MOST_BYTES = 256 * 1024  # of a mail that are read
_MOST_HEAD = 128 * 1024
_MOST_TEXT = 64 * 1024
_MOST_LINES = 40  # with letters, of a text
_MOST_TOKENS = 10
_MOST_BLOCKS = 4  # of base64

# The shortest token has 64 characters, the longest as many as a link (links.py).
_TOKEN = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{60,900}(?![A-Za-z0-9_-])")
_SUBJECT = re.compile(r"^subject:(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
_BASE64 = re.compile(r"(?:^[A-Za-z0-9+/]{4,}={0,2}\n)+", re.MULTILINE)
_TAG = re.compile(r"<[^<>]*>")


def tokens_in(mail: bytes) -> list[str]:
    """What may be a token, the likeliest first; whether it is one is for the key to say."""
    head, _, body = mail[:MOST_BYTES].decode("latin-1").replace("\r\n", "\n").partition("\n\n")
    found = (*_in_subject(head[:_MOST_HEAD]), *_in_text(body[:_MOST_TEXT]))
    return list(dict.fromkeys(found))[:_MOST_TOKENS]


def _in_subject(head: str) -> Iterator[str]:
    """Some programs fold a long word, or cut it into encoded words: it is also read without blanks."""
    if subject := _SUBJECT.search(head):
        said = decoded(subject[1].replace("\n", ""))
        yield from _TOKEN.findall(said)
        yield from _TOKEN.findall("".join(said.split()))


def _in_text(body: str) -> Iterator[str]:
    """Of a body, or the parts of one, in any transfer encoding: read as quoted-printable, a plain text has
    the same tokens. Lines of base64 look like tokens themselves: they come last."""
    for text in (*_out_of_base64(body), a2b_qp(body.encode("latin-1")).decode("latin-1")):
        lines = (line.strip() for line in _TAG.sub("\n", text).split("\n"))
        yield from filter(_TOKEN.fullmatch, _first(line for line in lines if line))


def _first(lines: Iterable[str]) -> Iterator[str]:
    return (line for line, _ in zip(lines, range(_MOST_LINES), strict=False))


def _out_of_base64(body: str) -> Iterator[str]:
    for block, _ in zip(_BASE64.finditer(f"{body}\n"), range(_MOST_BLOCKS), strict=False):
        digits = re.sub(r"[\n=]", "", block[0])
        whole = digits[: len(digits) // 4 * 4] if len(digits) % 4 == 1 else digits
        yield a2b_base64(f"{whole}==").decode("latin-1")
