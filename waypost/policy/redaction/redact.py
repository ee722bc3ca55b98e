"""Removes secrets from a provider's text, which may repeat a code, a link or a password. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from binascii import b2a_qp
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urlsplit

SHOWN_INSTEAD = "***"
_SHORTEST = 3  # a shorter secret would be found in every text
_SHORTEST_INSIDE = 6  # a shorter secret must be a whole word: a user may be called `shop`
_CUT_FROM = 200  # channels truncate texts, to no less than this: a secret may have been cut in two
_SHORTEST_PART = 4  # of a URL's path or query


class Redaction:
    """Takes a fixed set of secrets out of texts.

    A secret is found as it is, percent-encoded, escaped for HTML or JSON, in quoted-printable, and inside
    base64 (AUTH PLAIN of RFC 4616, a mail's body). Case is ignored, and so are blanks, hyphens and other
    punctuation between its letters: mail servers fold lines, and people split codes.
    """

    def __init__(
        self,
        secrets: Iterable[str] = (),
        shown: str = SHOWN_INSTEAD,
        shortest_inside: int = _SHORTEST_INSIDE,
        shortest_cut: int = _SHORTEST,
    ) -> None:
        """secrets: the values to hide. Empty values are ignored. shown: the text to show instead.
        shortest_inside: how many letters a secret has at least to be found inside a word. shortest_cut: how
        many of its letters are hidden at the end of a text that was cut."""
        self._shown = shown
        self._shortest_inside = shortest_inside
        self._shortest_cut = shortest_cut
        self._exact = set[str]()
        self._folded = set[str]()
        for secret in dict.fromkeys(secrets):
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """Hide one more secret. An empty text is ignored."""
        secret = secret.encode("utf-8", "replace").decode()  # no reply repeats half a surrogate pair
        if not secret:
            return
        exact = _long_enough(_written(secret))
        self._exact.update(form for form in exact if not form.isalnum())
        self._folded.update(_long_enough([*map(letters_of, exact), *in_base64(secret)]))

    def hide_letters(self, secret: str) -> None:
        """Hide the letters of one more secret, in no encoding."""
        self._folded.update(_long_enough([letters_of(secret)]))

    def __call__(self, text: str, *, cut: bool | None = None) -> str:
        """`text` with every secret replaced. cut: whether a secret at its end may be incomplete; None if its
        length tells. It does not once another redaction has shortened the text."""
        cut = may_be_cut(text) if cut is None else cut
        if not self._folded and not self._exact:
            return text
        for form in _longest_first(self._exact):
            text = text.replace(form, self._shown)
        letters = letters_of(text)
        if not cut and not any(form in letters for form in self._folded):
            return text
        return without(text, self._found(text, letters, cut), self._shown)

    def _found(self, text: str, letters: str, cut: bool) -> Iterator[tuple[int, int]]:
        """Where secrets begin and end in `text`, whose letters are `letters`."""
        places = _places(text)
        for form in _longest_first(self._folded):
            at = letters.find(form)
            while at >= 0:
                begin, end = places[at], places[at + len(form) - 1] + 1
                if len(form) >= self._shortest_inside or _is_word(text, begin, end):
                    yield begin, end
                at = letters.find(form, at + 1)
            if cut and (left := _cut(letters, form)) >= self._shortest_cut:
                yield places[len(letters) - left], len(text)


def may_be_cut(text: str) -> bool:
    """Whether a secret at the end of `text` may be incomplete."""
    return len(text) >= _CUT_FROM


def _long_enough(forms: Iterable[str]) -> list[str]:
    return [form for form in forms if len(form) >= _SHORTEST]


def _longest_first(forms: Iterable[str]) -> list[str]:
    return sorted(forms, key=lambda form: (-len(form), form))


def _written(value: str) -> tuple[str, ...]:
    """The ways to write `value` in a URL, a page, a JSON text or a quoted-printable mail."""
    in_mail = b2a_qp(value.encode("utf-8", "replace")).decode()
    return value, quote(value), quote(value, safe=""), html.escape(value), json.dumps(value)[1:-1], in_mail


def in_base64(value: str) -> Iterator[str]:
    """The letters of `value` in base64: alone, and inside a longer text."""
    yield letters_of(base64.b64encode(value.encode("utf-8", "replace")).decode())
    yield from (own for one in inside_base64(value) if len(own := letters_of(one)) >= _SHORTEST_INSIDE)


def inside_base64(value: str) -> Iterator[str]:
    """`value` in the base64 of a longer text, where it begins at the first, second or third byte of a group.
    Characters that hold bits of the text before or after `value` are left out."""
    raw = value.encode("utf-8", "replace")
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw).decode()
        yield coded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]


_LOWER = bytes(range(256)).lower()
_NEITHER_LETTER_NOR_DIGIT = bytes(one for one in range(128) if not chr(one).isalnum())


def letters_of(text: str) -> str:
    """The letters and digits of `text`, without case."""
    if text.isascii():
        return text.encode().translate(_LOWER, _NEITHER_LETTER_NOR_DIGIT).decode()
    return "".join(filter(str.isalnum, text)).casefold()


def _places(text: str) -> list[int]:
    """Where in `text` each character of `letters_of(text)` stands; casefold makes two of some letters."""
    return [
        place for place, letter in enumerate(text) if letter.isalnum() for _ in range(len(letter.casefold()))
    ]


def _is_word(text: str, begin: int, end: int) -> bool:
    return not (text[begin - 1 : begin].isalnum() or text[end : end + 1].isalnum())


def _cut(letters: str, form: str) -> int:
    """How many first characters of `form` end `letters`, if at least _SHORTEST; otherwise 0."""
    at = max(0, len(letters) - len(form) + 1) - 1
    while (at := letters.find(form[:_SHORTEST], at + 1)) >= 0:
        if form.startswith(letters[at:]):
            return len(letters) - at
    return 0


def without(text: str, hidden: Iterable[tuple[int, int]], shown: str = SHOWN_INSTEAD) -> str:
    """`text` with the `hidden` ranges (begin, end), which may overlap, replaced by `shown`."""
    kept: list[str] = []
    at = 0
    for begin, end in sorted(hidden):
        if end <= at:
            continue
        if begin >= at:
            kept += text[at:begin], shown
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


def links_in(text: str) -> Iterator[str]:
    """The web addresses in `text`, found one by one: it may hold thousands."""
    return (found[0] for found in _URL.finditer(text))
