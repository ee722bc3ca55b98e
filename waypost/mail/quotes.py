"""Finds what a provider's reply quotes from a mail whose secrets are not known: an author composed it. Pure.

A stretch of the reply that may be a secret (a link, a code, a token) is compared with the mail by its letters
and digits only, so that separators, capitals, folds and most encodings do not matter. ASCII only.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterable, Iterator
from html import unescape
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

SLICE = 32 * 1024  # bytes of a mail that are read at once: a few milliseconds
_OVERLAP = 6 * 1024  # a secret of 500 letters in UTF-16 and quoted-printable
_MOST_COMPARED = 100  # a reply with more suspects is not readable: all of it counts as quoted

# Parts of a reply that explain a refusal and are not secret: SMTP status, enhanced status (RFC 3463), IP.
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_ENHANCED = r"[245]\.\d{1,3}\.\d{1,3}(?!\w|\.\d)"
_GROUP = "[0-9a-f]{1,4}"
_NO_SECRET = re.compile(
    rf"(?<![\w.])(?:[2-5]\d\d(?=[ -]{_ENHANCED})|{_ENHANCED}|{_BYTE}(?:\.{_BYTE}){{3}}(?!\w|\.\d))"
    rf"|(?<![\w:])(?:(?:{_GROUP}:){{7}}{_GROUP}|(?:{_GROUP}:){{1,6}}(?::{_GROUP}){{1,6}})(?![\w:])",
    re.IGNORECASE | re.ASCII,
)
_WITHOUT_BLANK = re.compile(r"[^\s<>\"']+")
_LINK = re.compile(r"(?:https?://([^/?#\s]+)|((?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?))[/?#](\S+)", re.I | re.A)
_BEGINS_PATH = 4  # letters after a link's host that distinguish it from the host's other links
_GROUPS = re.compile(r"[A-Z0-9]+(?:[ ._:/-]{1,2}[A-Z0-9]+)*")
_TOKEN = re.compile(r"[A-Za-z0-9]+(?:[-._~+/=][A-Za-z0-9]+)*")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_SHORTEST, _LONGEST_CODE = 4, 12
_SHORTEST_MIXED = 6  # with one digit among its letters; with two or more digits it is _SHORTEST
_SHORTEST_WORD = 20  # of letters only: shorter words are ordinary
_NOT_BY_CHANCE = 12  # letters that no base64 repeats by accident

# Seven characters at least: a shorter word may be a code.
_QUEUE_ID = re.compile(
    r"\b(?:queued as|id=)\s*[\w.<>@-]{7,80}(?!\S)|^ok:?\s+(?:\d{10} )?[\w.-]{10,80}(?!\S)"
    r"|^\w{10,20} message accepted",
    re.IGNORECASE | re.ASCII,
)

_BASE64 = re.compile(
    rb"^(?:[A-Za-z0-9+/]{2,}+(?:\r\n|\Z))*+(?:[A-Za-z0-9+/]{2,}+={1,2}(?:\r\n|\Z))?+", re.MULTILINE
)
_LONG_BASE64_LINE = re.compile(rb"^[A-Za-z0-9+/]{60,}+={0,2}(?:\r\n|\Z)", re.MULTILINE)
_LOWER = bytes(range(256)).lower()
_NEITHER_LETTER_NOR_DIGIT = bytes(one for one in range(256) if not (one < 128 and chr(one).isalnum()))


class Suspect(NamedTuple):
    """A stretch of a reply that may be a secret. forms: the letters and digits to search the mail for."""

    begin: int
    end: int
    forms: frozenset[bytes]

    def stands_in(self, reading: Reading) -> bool:
        """Whether this piece of the mail contains the suspect."""
        return any(
            form in (reading.everything if len(form) >= _NOT_BY_CHANCE else reading.decoded)
            for form in self.forms
        )


class Reading(NamedTuple):
    """The letters and digits of a piece of a mail. decoded: of its texts. everything: of raw bytes too."""

    decoded: bytes
    everything: bytes


def suspects(words: str) -> list[Suspect]:
    """Every stretch of `words` that may be a secret. They may overlap."""
    rest = _NO_SECRET.sub(lambda found: "\n" * len(found[0]), words)
    return list(dict.fromkeys((*_links(words), *_groups(rest), *_tokens(rest))))


def too_many(found: list[Suspect]) -> bool:
    """Whether a comparison with the mail would take too long."""
    return len(found) > _MOST_COMPARED


def without_queue_id(found: Iterable[Suspect], words: str) -> list[Suspect]:
    """The suspects in an accepting reply, without the id that the provider's queue gave the mail."""
    ids = [one.span() for one in _QUEUE_ID.finditer(words)]
    return [one for one in found if not any(begin <= one.begin and one.end <= end for begin, end in ids)]


def readings(mail: bytes, subject: str) -> Iterator[Reading]:
    """The readings of a mail, slice by slice. mail: in wire format. subject: decoded."""
    letters = _letters(subject)
    yield Reading(letters, letters)
    for at in range(0, len(mail), SLICE):
        yield _reading(mail[_line_start(mail, at - _OVERLAP) : at + SLICE])


def _links(words: str) -> Iterator[Suspect]:
    for chunk in _WITHOUT_BLANK.finditer(words):
        written = (chunk[0], unquote(chunk[0]), unquote(unquote(chunk[0])))
        found = {form for text in written for link in _LINK.finditer(unescape(text)) if (form := _form(link))}
        if found:
            yield Suspect(*chunk.span(), frozenset(found))


def _form(link: re.Match[str]) -> bytes:
    """A link's host and the start of its path: a reply may cut a link, or continue right after it."""
    rest = _letters(link[3])[:_BEGINS_PATH]
    return _letters(link[1] or link[2]) + rest if rest else b""


def _groups(rest: str) -> Iterator[Suspect]:
    """Codes of digits and capitals, also with neighbours joined: `482 913`, `ABCD 1234`."""
    for run in _GROUPS.finditer(rest):
        pieces = [one.span() for one in _PIECE.finditer(rest, *run.span())]
        for first, (begin, _) in enumerate(pieces):
            sizes = accumulate(end - start for start, end in pieces[first:])
            for size, (_, end) in zip(sizes, pieces[first:], strict=True):
                if size > _LONGEST_CODE and end != pieces[first][1]:
                    break
                if _is_code(_letters(rest[begin:end])):
                    yield _suspect(rest, begin, end)


def _tokens(rest: str) -> Iterator[Suspect]:
    """Codes with small letters and long codes, whole and in pieces, and long words."""
    for token in _TOKEN.finditer(rest):
        if _is_code(_letters(token[0])):
            yield _suspect(rest, *token.span())
        for piece in _PIECE.finditer(token[0]):
            if _is_code(_letters(piece[0])) or len(piece[0]) >= _SHORTEST_WORD:
                yield _suspect(rest, token.start() + piece.start(), token.start() + piece.end())


def _is_code(letters: bytes) -> bool:
    digits = len(letters) - len(letters.translate(None, b"0123456789"))
    return len(letters) >= (_SHORTEST if digits > 1 else _SHORTEST_MIXED) and digits > 0


def _suspect(words: str, begin: int, end: int) -> Suspect:
    return Suspect(begin, end, frozenset({_letters(words[begin:end])}))


def _line_start(mail: bytes, at: int) -> int:
    """Where the line at `at` begins, so that base64 is read from its groups. Lines have up to 1000 bytes."""
    return max(0, mail.rfind(b"\n", max(0, at - 1000), max(0, at)) + 1 or at)


def _reading(piece: bytes) -> Reading:
    texts = [_LONG_BASE64_LINE.sub(b"", piece), *_out_of_base64(piece)]
    if b"=" in texts[0]:
        texts.append(a2b_qp(texts[0]))
    # Without NULs, ASCII in UTF-16 and UTF-32 is plain ASCII.
    texts = [text.translate(None, b"\0") for text in texts]
    texts += [unquote_to_bytes(text) for text in texts if b"%" in text]
    texts += [unescape(text.decode("latin-1")).encode("ascii", "ignore") for text in texts if b"&" in text]
    decoded = b" ".join(map(_letters, texts))
    return Reading(decoded, b" ".join((decoded, _letters(piece))))


def _out_of_base64(piece: bytes) -> Iterator[bytes]:
    """Everything that looks like base64, decoded."""
    for block in _BASE64.findall(piece):
        digits = block.translate(None, b"\r\n=")
        if len(digits) % 4 == 1:  # the slice ends in the middle of a group
            digits = digits[:-1]
        if digits:
            yield a2b_base64(digits + b"==")


def _letters(text: str | bytes) -> bytes:
    raw = text.encode("ascii", "ignore") if isinstance(text, str) else text
    return raw.translate(_LOWER, _NEITHER_LETTER_NOR_DIGIT)
