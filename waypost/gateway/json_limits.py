"""Checks JSON as text before it is parsed: how much it holds, and where the items of a batch end.

Every step takes time proportional to the length. Quantifiers are possessive: otherwise a text would be
scanned again from each later quote, which takes quadratic time.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from waypost.system.time_slices import Slices

DEEPEST = 32
MOST_HOLDERS = 10_000  # lists and objects; each takes a hundred bytes or more once it is parsed
MOST_VALUES = 10_000  # each may be invalid, and pydantic builds an error for each invalid value

# A string that is not closed extends to the end; the parser refuses it.
_TEXT = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?+\Z)'
_NO_BRACKET = rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+"
_BLANKS = rb"[ \t\r\n]*+"

_TEXTS = re.compile(_TEXT, re.DOTALL)
_ROUND = bytes.maketrans(b"{[}]", b"(())")
_OTHERS = bytes(set(range(256)) - set(b"{[}]"))

# Up to and including the next bracket. A list or object without nested ones is skipped in one step.
_STEP = re.compile(
    rb'(?:[^"\[\]{}]++|' + _TEXT + rb"|[\[{]" + _NO_BRACKET + rb"[\]}])*+([\[\]{}])?+", re.DOTALL
)
_HEAD = re.compile(
    _BLANKS + rb"\{" + _BLANKS + rb'"notifications"' + _BLANKS + b":" + _BLANKS + rb"\[" + _BLANKS
)
_SCALAR = re.compile(_TEXT + rb'|[^"\[\]{},\s]++', re.DOTALL)
_BETWEEN = re.compile(_BLANKS + rb"([,\]])" + _BLANKS)
_TAIL = re.compile(_BLANKS + rb"\}" + _BLANKS + rb"\Z")
_STEPS = 500  # between two checks of the clock


class NotBatch(ValueError):
    """The text is not of the form {"notifications": [...]}."""


class ItemTooLarge(ValueError):
    """An item of a batch is over its limit. number: its position, counted from 0."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def over_limit(text: bytes) -> str | None:
    """The limit that `text` exceeds, in words; None if it exceeds none. The limits are on the depth, the
    number of lists and objects, and the number of values. Brackets and commas inside strings do not count.

    Each pass removes the innermost pairs of brackets, without a Python step for each byte.
    """
    if text.count(b"{") + text.count(b"[") <= DEEPEST and text.count(b",") < MOST_VALUES:
        return None
    bare = _TEXTS.sub(b"", text)
    left = bare.translate(_ROUND, _OTHERS)
    if left.count(b"(") > MOST_HOLDERS:
        return f"the JSON has more than {MOST_HOLDERS:,} lists and objects"
    if bare.count(b",") >= MOST_VALUES:
        return f"the JSON has more than {MOST_VALUES:,} values"
    for _ in range(DEEPEST):
        before, left = len(left), left.replace(b"()", b"")
        if len(left) == before:
            break
    return f"the JSON is nested more than {DEEPEST} levels deep" if left else None


async def items(text: bytes, largest: int, slices: Slices) -> AsyncIterator[bytes]:
    """Yield the items of a batch as they are written, each of at most `largest` bytes.

    An item may be invalid JSON; the batch is valid if every item is. Raises NotBatch or ItemTooLarge.
    """
    head = _HEAD.match(text)
    if head is None:
        raise NotBatch
    at, number, bracket = head.end(), 0, text[head.end() : head.end() + 1]
    at += bracket == b"]"
    while bracket != b"]":
        end = await _end(text, at, at + largest + 1, slices)
        if end - at > largest:
            raise ItemTooLarge(number)
        yield text[at:end]
        between = _BETWEEN.match(text, end)
        if between is None or end == at:
            raise NotBatch
        at, number, bracket = between.end(), number + 1, between[1]
    if _TAIL.match(text, at) is None:
        raise NotBatch


async def _end(text: bytes, at: int, stop: int, slices: Slices) -> int:
    """The end of the value that begins at `at`, searched for up to `stop`; `at` if there is no value."""
    if text[at : at + 1] not in (b"{", b"["):
        scalar = _SCALAR.match(text, at, stop)
        return at if scalar is None else scalar.end()
    at, depth, steps = at + 1, 1, 0
    while depth:
        step = _STEP.match(text, at, stop)
        if step is None or not step[1]:
            return min(stop, len(text))
        at = step.end()
        depth += 1 if step[1] in b"[{" else -1
        steps += 1
        if steps % _STEPS == 0:
            await slices.pause()
    return at
