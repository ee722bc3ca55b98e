"""Masks one known address in a text, however the text spells it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import quote

from waypost.mail.masking import mask
from waypost.policy.redaction.redact import Redaction, in_base64, letters_of

# What may stand for the @. Punctuation is ignored: `ada=a.example` has the letters of `ada@a.example`.
_AT = (" at ", "&#64;", "&#x40;", "&commat;", r"\u0040", "%3D")
_DOT = " dot "
_BASE64 = re.compile("[A-Za-z0-9+/]{12}")
_PIECE = re.compile("[a-z0-9]+")
_A_LABEL = "xn--"
_SHORT = 2  # letters before the @: `via a.example` does not name `a@a.example`
_LONGEST_ADDRESS = 1000  # letters, in any encoding


class _Parts(NamedTuple):
    """An address without quotes."""

    local: str
    domain: str

    @property
    def whole(self) -> str:
        return f"{self.local}@{self.domain}"


def masked(text: str, address: str, *, cut: bool = False) -> str:
    """`text` with `address` masked in every spelling: percent-encoded, escaped, in base64, `ada=a.example`,
    `ada at a dot example`, and with its domain in A-labels or in Unicode. cut: whether an
    address at the end may be incomplete."""
    letters = letters_of(text)
    named = [parts for parts in _variants(address) if _may_name(text, letters, parts, cut)]
    if not named:
        return text
    own = len(letters_of(named[0].local))
    inside = _LONGEST_ADDRESS if own <= _SHORT else own
    hidden = Redaction(shown=mask(address), shortest_inside=inside, shortest_cut=own + 1)
    for parts in named:
        hidden.hide(parts.whole)
        for spelling in _spellings(parts):
            hidden.hide_letters(spelling)
    return hidden(text, cut=cut)


def _variants(address: str) -> Iterator[_Parts]:
    local, _, domain = address.encode("utf-8", "replace").decode().rpartition("@")
    for written in _spelled(domain):
        parts = _Parts(local.strip('"'), written)
        yield parts
        if not parts.whole.isascii():
            yield _Parts(*(normalize("NFD", part) for part in parts))  # its letters are without accents


@lru_cache(1024)
def _spelled(domain: str) -> tuple[str, ...]:
    """A domain as it is written, and in Unicode, if that differs."""
    return tuple(dict.fromkeys((domain, ".".join(map(_in_unicode, domain.split("."))))))


def _in_unicode(label: str) -> str:
    """A label of a domain in Unicode (RFC 5890)."""
    if not label.startswith(_A_LABEL):
        return label
    try:
        return label.removeprefix(_A_LABEL).encode().decode("punycode")
    except UnicodeError:
        return label


def _may_name(text: str, letters: str, parts: _Parts, cut: bool) -> bool:
    """Whether a text of these letters may name an address: most texts need no more work. Every spelling but
    base64 leaves ASCII letters as they are. A text that was cut may lack the end of the domain."""
    pieces = _PIECE.findall((parts.local if cut else parts.whole).casefold())
    if all(piece in letters for piece in pieces):
        return True
    return bool(_BASE64.search(text)) and any(form in letters for form in in_base64(parts.whole))


def _spellings(parts: _Parts) -> Iterator[str]:
    local, domain = parts
    dotted = domain.replace(".", _DOT)
    yield from (f"{local}{at}{domain}" for at in _AT)
    yield from (f"{local}{at}{dotted}" for at in (" ", " at "))
    yield f"{local.replace('.', _DOT)} at {dotted}"
    yield quote(quote(parts.whole, safe=""), safe="")
