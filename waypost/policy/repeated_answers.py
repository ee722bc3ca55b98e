"""When two answers of a provider are the same, apart from waits, times and ids of a queue. Pure."""

from __future__ import annotations

import re

KEPT = 3  # words at the beginning: the provider, the code, the enhanced code


def essence(answer: str) -> str:
    """`answer` without what differs each time: equal for answers that say the same."""
    words = answer.split()
    return " ".join([*words[:KEPT], *(_VARYING.sub(_without_digits, word) for word in words[KEPT:])])


_VARYING = re.compile(r"\w+")


def _without_digits(found: re.Match[str]) -> str:
    word = found.group()
    return "0" if any(letter.isdigit() for letter in word) else word
