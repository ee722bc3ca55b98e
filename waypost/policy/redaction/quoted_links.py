"""Finds the links of a message's facts that a provider's reply quotes. Pure.

The reply is short and the facts may be long. So the reply is decoded in every way in which Redaction encodes
a secret, and each link of the facts is only looked up in what was decoded.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_qp
from collections.abc import Collection, Iterator
from html import unescape
from itertools import chain
from urllib.parse import unquote

from waypost.policy.redaction.redact import inside_base64, letters_of

_SCHEME = "http"
_MOST = 100  # links
_BASE64 = re.compile("[A-Za-z0-9+/_-]{8,}")
_SCHEME_IN_BASE64 = re.compile(
    "|".join(form for case in ("http", "HTTP", "Http") for form in inside_base64(case))
)
_URL_SAFE = str.maketrans("-_", "+/")
_JSON = re.compile(r"\\u([0-9a-fA-F]{4})")
_CUT_ESCAPE = re.compile(r"(?:[%=][0-9a-fA-F]?|&#?\w{0,8}|\\(?:u[0-9a-fA-F]{0,3})?)\Z")


class QuotedLinks:
    """The links that a reply quotes, of those that are looked up."""

    def __init__(self, words: str, *, cut: bool) -> None:
        """cut: whether a link at the end may be incomplete."""
        self._readings: list[str] = []
        self._ends = set[str]()
        self._found: dict[str, str] = {}
        if _may_hold_link(words):
            readings = set(map(letters_of, _decoded(words, cut)))
            self._readings = [letters for letters in readings if _SCHEME in letters]
            if cut:
                self._ends.update(chain.from_iterable(map(_ends, self._readings)))

    @property
    def sought(self) -> bool:
        """Whether the reply may quote a link."""
        return bool(self._readings)

    @property
    def too_many(self) -> bool:
        """Whether the links that overlap would take too long to remove."""
        return len(self._found) > _MOST

    @property
    def found(self) -> Collection[str]:
        """The links, each once."""
        return self._found.values()

    def look_up(self, link: str) -> None:
        """Note `link` if the reply quotes it, or ends with its beginning. A beginning needs only one link."""
        letters = letters_of(link)
        begun = {end for end in self._ends if letters.startswith(end)} if self._ends else ()
        if begun or any(letters in reading for reading in self._readings):
            self._found[letters] = link
            self._ends.difference_update(begun)


def _may_hold_link(words: str) -> bool:
    """Most replies hold no link and need no decoding. Only base64 changes the letters of the scheme."""
    return _SCHEME in letters_of(words) or bool(_SCHEME_IN_BASE64.search("".join(words.split())))


def _decoded(words: str, cut: bool) -> Iterator[str]:
    """`words` as they are, and out of each encoding. An escape at the end may be incomplete."""
    whole = _CUT_ESCAPE.sub("", words) if cut else words
    yield words
    yield unquote(whole)
    yield unescape(whole)
    yield a2b_qp(whole.encode("utf-8", "replace")).decode("utf-8", "ignore")
    yield _JSON.sub(lambda found: chr(int(found[1], 16)), whole)
    yield from _out_of_base64("".join(words.split()))


def _out_of_base64(words: str) -> Iterator[str]:
    """Everything in `words` that may be base64, decoded from each place where a group of four may begin."""
    for run in _BASE64.findall(words):
        for begin in range(4):
            letters = run[begin:].translate(_URL_SAFE)
            whole = letters[:-1] if len(letters) % 4 == 1 else letters  # one letter alone holds no octet
            yield a2b_base64(whole + "=" * (-len(whole) % 4)).decode("utf-8", "ignore")


def _ends(letters: str) -> Iterator[str]:
    """The ends of a reply that may be the beginning of a link."""
    return (letters[found.start() :] for found in re.finditer(_SCHEME, letters))
