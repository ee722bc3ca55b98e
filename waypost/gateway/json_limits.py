"""JSON looked at as text, before anything is built of it: how much it holds, and where a batch's items end.

Every step takes time in proportion to the length. Quantifiers are possessive: a text is never looked at again
from a later quote, which is the square of its length in time.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from waypost.system.time_slices import Slices

DEEPEST = 32
MOST_HOLDERS = 10_000  # lists and objects: each takes a hundred bytes or more once it is built
MOST_VALUES = 10_000  # each may be wrong, and pydantic builds an error of each that is

# A text that is not closed goes up to the end: the parser refuses it there.
_TEXT = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?+\Z)'
_NO_BRACKET = rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+"
_BLANKS = rb"[ \t\r\n]*+"

_TEXTS = re.compile(_TEXT, re.DOTALL)
_ROUND = bytes.maketrans(b"{[}]", b"(())")
_OTHERS = bytes(set(range(256)) - set(b"{[}]"))

# Up to and with the next bracket. A list or object without others in it is passed over in one go.
_STEP = re.compile(
    rb'(?:[^"\[\]{}]++|' + _TEXT + rb"|[\[{]" + _NO_BRACKET + rb"[\]}])*+([\[\]{}])?+", re.DOTALL
)
_HEAD = re.compile(
    _BLANKS + rb"\{" + _BLANKS + rb'"notifications"' + _BLANKS + b":" + _BLANKS + rb"\[" + _BLANKS
)
_SCALAR = re.compile(_TEXT + rb'|[^"\[\]{},\s]++', re.DOTALL)
_BETWEEN = re.compile(_BLANKS + rb"([,\]])" + _BLANKS)
_TAIL = re.compile(_BLANKS + rb"\}" + _BLANKS + rb"\Z")
_STEPS = 500  # between two looks at the clock


class NotBatch(ValueError):
    """The text is not of the form {"notifications": [...]}."""


class ItemTooLarge(ValueError):
    """An item of a batch is over its limit. number: which, counted from 0."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def over_limit(text: bytes) -> str | None:
    """Which limit the structure of `text` is over, if any: how deep its brackets nest, how many lists and
    objects there are, and how many values. Brackets and commas inside strings do not count.

    Each pass takes the innermost pairs out, without a step of Python for each byte.
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
    return f"the JSON is nested more than {DEEPEST} deep" if left else None


async def items(text: bytes, largest: int, slices: Slices) -> AsyncIterator[bytes]:
    """The items of a batch, each as it is written, of `largest` bytes at most.

    An item may still be no JSON; all of them together are, where each is. Raises NotBatch or ItemTooLarge.
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
    """Where the value that begins at `at` ends, looked for up to `stop`; `at` where there is none."""
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
