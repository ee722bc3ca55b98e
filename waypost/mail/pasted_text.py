"""Text that people type or paste, in the plain characters that they mean."""

from __future__ import annotations

import unicodedata

_DASHES = {"\u2212": "-", "\u00ad": "-"}  # a minus sign and a soft hyphen, which are no dashes to Unicode


def cleaned(text: str) -> str:
    """`text` with compatibility characters such as full-width digits made plain (NFKC), decimal digits of
    every script as 0 to 9, every kind of dash as a hyphen and of blank as a space, and without marks that do
    not show (zero-width blanks, marks of direction)."""
    return "".join(map(_plain, unicodedata.normalize("NFKC", text)))


def _plain(letter: str) -> str:
    if letter.isascii():
        return letter
    if letter in _DASHES:
        return _DASHES[letter]
    match unicodedata.category(letter):
        case "Pd":
            return "-"
        case "Zs" | "Zl" | "Zp":
            return " "
        case "Cf":
            return ""
        case "Nd":
            return str(unicodedata.decimal(letter))
        case _:
            return letter
