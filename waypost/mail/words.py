"""Encoded words (RFC 2047): how anything beyond plain ASCII stands in a header.

By hand, because one in three mails has such a subject or name and `email.header.Header` takes a third of
the time such a mail is built in.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator

_LINE = 76  # section 2: a line that holds an encoded word is no longer
_AROUND = len("=?utf-8?q??=")
# Section 5, rule 3: what may stand for itself in a name as well as in a subject.
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = [chr(byte) if byte in _SAFE else "_" if byte == 32 else f"={byte:02X}" for byte in range(256)]


def encoded(value: str, used: int) -> str:
    """`value` as encoded words, a line each, whichever of Q and B is shorter. used: characters of the
    first line that are taken already."""
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
    """`value` in pieces, cut between letters: the first of at most `room`, the others of at most `full`."""
    began = taken = 0
    for at, letter in enumerate(value):
        needed = size(letter)
        if taken + needed > room and at > began:
            yield value[began:at]
            began, taken, room = at, 0, full
        taken += needed
    yield value[began:]
