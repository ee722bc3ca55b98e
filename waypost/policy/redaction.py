"""Removes secrets from a provider's text, which may repeat a code, a link or a password. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urlsplit

SHOWN_INSTEAD = "***"
_SHORTEST = 3  # a shorter secret would be found in every text
_SHORTEST_INSIDE = 6  # a shorter secret must be a whole word: a user may be called `shop`
_CUT_FROM = 200  # channels truncate texts, to no less than this: a secret may have been cut in two
_SHORTEST_PART = 4  # of a URL's path or query


class Redaction:
    """Takes a fixed set of secrets out of texts.

    A secret is found as it is, percent-encoded, escaped for HTML or JSON, and inside base64 (AUTH PLAIN of
    RFC 4616, a mail's body). Case is ignored, and so are blanks, hyphens and other punctuation between its
    letters: mail servers fold lines, and people split codes.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """secrets: the values to hide. Empty values are ignored."""
        values = [secret for secret in dict.fromkeys(secrets) if secret]
        exact = {form for value in values for form in _written(value)}
        folded = {*map(_letters, exact), *(form for value in values for form in _in_base64(value))}
        self._exact = _longest_first(form for form in exact if not form.isalnum())
        self._folded = _longest_first(folded)

    def __call__(self, text: str) -> str:
        """`text` with every secret replaced by asterisks."""
        if not self._folded and not self._exact:
            return text
        for form in self._exact:
            text = text.replace(form, SHOWN_INSTEAD)
        letters = _letters(text)
        if len(text) < _CUT_FROM and not any(form in letters for form in self._folded):
            return text
        return without(text, self._found(text, letters))

    def _found(self, text: str, letters: str) -> Iterator[tuple[int, int]]:
        """Where secrets begin and end in `text`, whose letters are `letters`."""
        places = _places(text)
        for form in self._folded:
            at = letters.find(form)
            while at >= 0:
                begin, end = places[at], places[at + len(form) - 1] + 1
                if len(form) >= _SHORTEST_INSIDE or _is_word(text, begin, end):
                    yield begin, end
                at = letters.find(form, at + 1)
            if len(text) >= _CUT_FROM and (left := _cut(letters, form)):
                yield places[len(letters) - left], len(text)


def _longest_first(forms: Iterable[str]) -> list[str]:
    return sorted((form for form in forms if len(form) >= _SHORTEST), key=lambda form: (-len(form), form))


def _written(value: str) -> tuple[str, ...]:
    """The ways to write `value` in a URL, a page or a JSON text."""
    return value, quote(value), quote(value, safe=""), html.escape(value), json.dumps(value)[1:-1]


def _in_base64(value: str) -> Iterator[str]:
    """The letters of `value` in base64: alone, and inside a longer text, where it begins at the first, second
    or third byte of a group."""
    raw = value.encode("utf-8", "replace")
    yield _letters(base64.b64encode(raw).decode())
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw).decode()
        # Characters that hold bits of the text before or after `value` are left out.
        own = _letters(coded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
        if len(own) >= _SHORTEST_INSIDE:
            yield own


def _letters(text: str) -> str:
    """The letters and digits of `text`, without case."""
    return "".join(filter(str.isalnum, text)).casefold()


def _places(text: str) -> list[int]:
    """Where in `text` each character of `_letters(text)` stands; casefold makes two of some letters."""
    return [
        place for place, letter in enumerate(text) if letter.isalnum() for _ in range(len(letter.casefold()))
    ]


def _is_word(text: str, begin: int, end: int) -> bool:
    return not (text[begin - 1 : begin].isalnum() or text[end : end + 1].isalnum())


def _cut(letters: str, form: str) -> int:
    """How many first characters of `form` end `letters`, if at least _SHORTEST; otherwise 0."""
    most = min(len(form) - 1, len(letters))
    return next((size for size in range(most, _SHORTEST - 1, -1) if letters.endswith(form[:size])), 0)


def without(text: str, hidden: Iterable[tuple[int, int]]) -> str:
    """`text` with the `hidden` ranges (begin, end), which may overlap, replaced by asterisks."""
    kept: list[str] = []
    at = 0
    for begin, end in sorted(hidden):
        if end <= at:
            continue
        if begin >= at:
            kept += text[at:begin], SHOWN_INSTEAD
        at = end
    return "".join(kept) + text[at:]


def parts_of(url: str) -> list[str]:
    """Everything in `url` that may be a token: user and password, host, the pieces of its path and of its
    query, as written and decoded. Placeholders such as `{phone}` are left out."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    pieces = [
        *parts.netloc.replace("@", ":").split(":"),
        *parts.path.split("/"),
        *(part for pair in parts.query.split("&") for part in (pair, pair.partition("=")[2])),
    ]
    both = dict.fromkeys([*pieces, *map(unquote, pieces)])
    return [piece for piece in both if len(piece) >= _SHORTEST_PART and "{" not in piece]


_URL = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)


def links_in(text: str) -> list[str]:
    """The web addresses in `text`."""
    return _URL.findall(text) if "://" in text else []
