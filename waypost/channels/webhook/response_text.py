"""The text of a web service's response to a webhook, readable and without the message's secrets. Pure."""

from __future__ import annotations

import codecs
import string
from collections.abc import Iterable
from dataclasses import replace

from waypost.model.outcome import Outcome, Verdict
from waypost.net.signed_http import WORDS_READ
from waypost.policy import classify

_SHORTEST_PRIVATE = 3


def with_words(found: Outcome, body: bytes, hidden: Iterable[str]) -> Outcome:
    """`found` with the service's text, without `hidden`; unchanged for acceptances and redirects."""
    if found.verdict is Verdict.ACCEPTED or (found.code or 0) // 100 == 3:
        return found
    said = _readable(body)
    for word in hidden:
        said = said.replace(word, "***")
    return replace(found, words=f"{found.words}: {said}"[: classify.WORDS_KEPT]) if said else found


def private_words(text: str) -> list[str]:
    """The words of a message that are for its recipient alone (codes, numbers, links), the longest first: a
    service may repeat them in its response."""
    found = {
        part
        for word in text.split()
        if "://" in word or any(letter.isdigit() for letter in word)
        for part in (word, word.strip(string.punctuation))
    }
    return sorted((word for word in found if len(word) >= _SHORTEST_PRIVATE), key=len, reverse=True)


def _readable(body: bytes) -> str:
    """The body as one line, or nothing when it is not text. A truncated body loses its last word: half a
    secret would not be recognized."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return ""
    if "\0" in text:
        return ""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join(words[:-1] if len(body) >= WORDS_READ else words)
