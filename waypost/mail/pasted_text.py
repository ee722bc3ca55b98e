"""Text that people type or paste, converted to plain characters."""

from __future__ import annotations

import unicodedata

_DASHES = {"\u2212": "-", "\u00ad": "-"}  # minus sign and soft hyphen: Unicode does not class them as dashes


def cleaned(text: str) -> str:
    """`text` in plain characters. Compatibility characters such as full-width digits are normalised (NFKC);
    decimal digits of every script become 0 to 9, every dash a hyphen, every blank a space. Invisible marks
    (zero-width blanks, marks of direction) are removed."""
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
