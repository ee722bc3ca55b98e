"""Encoded words (RFC 2047): how characters beyond plain ASCII are written in a header.

Written by hand: one in three mails has such a subject or name, and `email.header.Header` takes a third of the
time to build such a mail. To read them, `email.header` takes quadratic time in a value's length.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error, a2b_base64, a2b_qp
from collections.abc import Callable, Iterator
from contextlib import suppress

_LINE = 76  # section 2: the longest line with an encoded word
_AROUND = len("=?utf-8?q??=")
# Section 5, rule 3: characters that need no encoding, in a name as well as in a subject.
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = [chr(byte) if byte in _SAFE else "_" if byte == 32 else f"={byte:02X}" for byte in range(256)]

# Section 2, without its limit of length: some programs write longer words.
_WORD = re.compile(r"=\?([^?\s*]*+)(?:\*[^?\s]*+)?\?([bBqQ])\?([^?\s]*+)\?=")
_BEGINS = re.compile(r"=\?[^?]*\?([bBqQ])\?")
# The charsets that mail is written in. For an unknown name, Python searches for a module to import.
CHARSETS = frozenset(
    {
        "utf-8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be", "utf-16-le", "utf-16-be",
        *(f"iso-8859-{part}" for part in range(1, 17)), *(f"windows-{page}" for page in range(1250, 1259)),
        "koi8-r", "koi8-u", "gb2312", "gbk", "gb18030", "hz-gb-2312", "big5", "big5-hkscs", "shift_jis",
        "euc-jp", "iso-2022-jp", "euc-kr", "ks_c_5601-1987", "iso-2022-kr", "tis-620",
    }
    - {"iso-8859-12"}
)  # fmt: skip


def decoded(value: str) -> str:
    """`value` with its encoded words decoded. An invalid word, or a word in a charset outside CHARSETS, stays
    as it is."""
    if "=?" not in value:
        return value
    parts: list[str] = []
    at, follows = 0, False
    for word, raw in words_in(value):
        charset = word[1].lower()
        between, at = value[at : word.start()], word.end()
        read = charset in CHARSETS
        blank = follows and read and not between.strip()
        parts.append("" if blank else between)  # section 6.2: blanks between two words are ignored
        parts.append(raw.decode(charset, "replace") if read else word[0])
        follows = read
    return "".join([*parts, value[at:]])


def words_in(value: str) -> Iterator[tuple[re.Match[str], bytes]]:
    """The encoded words of `value`, each with its decoded bytes."""
    for word in _WORD.finditer(value):
        text = word[3].encode("ascii", "replace")
        try:
            yield word, _bytes_of(word[2], text)
        except Error:  # its length is wrong
            continue


def read_leniently(value: str) -> Iterator[bytes]:
    """The decoded bytes of each text that a lenient reader may take for an encoded word. Against section 2,
    such a text contains blanks or question marks."""
    at = 0
    while (begins := _BEGINS.search(value, at)) and (end := value.find("?=", begins.end())) >= 0:
        with suppress(Error):
            yield _bytes_of(begins[1], value[begins.end() : end].encode("ascii", "replace"))
        at = end


def _bytes_of(encoding: str, text: bytes) -> bytes:
    """Raises binascii.Error."""
    return a2b_qp(text, header=True) if encoding in "qQ" else a2b_base64(text + b"==")


def encoded(value: str, used: int) -> str:
    """`value` as encoded words, one a line, in Q or B, whichever is shorter. used: characters already taken
    on the first line."""
    raw = value.encode()
    q = _in_q(raw)
    room, full = _LINE - used - _AROUND, _LINE - 1 - _AROUND
    if len(q) > (len(raw) + 2) // 3 * 4:
        words = _cut(value, lambda letter: len(letter.encode()), room // 4 * 3, full // 4 * 3)
        return "\r\n ".join(f"=?utf-8?b?{b64encode(word.encode()).decode()}?=" for word in words)
    if len(q) <= room:
        return f"=?utf-8?q?{q}?="
    words = _cut(value, lambda letter: len(_in_q(letter.encode())), room, full)
    return "\r\n ".join(f"=?utf-8?q?{_in_q(word.encode())}?=" for word in words)


def _in_q(raw: bytes) -> str:
    return "".join(map(_Q.__getitem__, raw))


def _cut(value: str, size: Callable[[str], int], room: int, full: int) -> Iterator[str]:
    """`value` cut between characters: the first piece has at most the size `room`, the others `full`."""
    began = taken = 0
    for at, letter in enumerate(value):
        needed = size(letter)
        if taken + needed > room and at > began:
            yield value[began:at]
            began, taken, room = at, 0, full
        taken += needed
    yield value[began:]
