"""How many segments a short message takes: 3GPP TS 23.038, and for messages of several parts TS 23.040.

A segment has 140 octets. A text of the GSM alphabet packs 160 septets into them; any other text is sent in
UCS-2, 70 units of 16 bits. Each part of a longer message begins with a header of 6 octets, which leaves 153
septets or 67 units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from waypost.system.plurals import counted

USUAL = 3  # segments; `waypost templates check` names a sample that takes more, if its type has no limit
NAMED = 5  # characters that a sentence names

# TS 23.038, 6.2.1: the default alphabet, a septet each. 6.2.1.1: its extension, an escape and a septet each.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
_LAST_OF_ONE_UNIT = "\uffff"


class Encoding(StrEnum):
    """How the characters of a short message are sent."""

    GSM = "GSM-7"
    UCS2 = "UCS-2"


_ALONE = {Encoding.GSM: 160, Encoding.UCS2: 70}  # units of a message of one segment
_PART = {Encoding.GSM: 153, Encoding.UCS2: 67}  # units of each part of a longer message


@dataclass(frozen=True, slots=True)
class Segments:
    """The size of a short message.

    units: septets in GSM-7, 16-bit units in UCS-2. count: the segments, at least 1. left: the units that the
    last segment still takes. forcing: the characters outside the GSM alphabet, each once, by code point.
    """

    encoding: Encoding
    units: int
    count: int
    left: int
    forcing: tuple[str, ...]


def segments_of(text: str) -> Segments:
    """The segments of `text`. A character is never split over two parts: neither one of the extension table
    nor one outside the basic plane, which takes two UCS-2 characters (TS 23.038, 6.2.3)."""
    letters = set(text)
    forcing = tuple(sorted(letters - _BASIC - _EXTENSION))
    encoding = Encoding.UCS2 if forcing else Encoding.GSM
    wide = {letter for letter in letters if _is_wide(letter, encoding)}
    units = len(text) + sum(map(text.count, wide))
    if units <= _ALONE[encoding]:
        return Segments(encoding, units, 1, _ALONE[encoding] - units, forcing)
    count, left = _parts(text, wide, _PART[encoding])
    return Segments(encoding, units, count, left, forcing)


def _is_wide(letter: str, encoding: Encoding) -> bool:
    """Whether the letter takes two units."""
    return letter in _EXTENSION if encoding is Encoding.GSM else letter > _LAST_OF_ONE_UNIT


def _parts(text: str, wide: set[str], size: int) -> tuple[int, int]:
    """The parts of a longer message, and the units that the last part still takes."""
    count, left = 1, size
    for letter in text:
        needed = 2 if letter in wide else 1
        if needed > left:
            count, left = count + 1, size
        left -= needed
    return count, left


def excess(text: str, limit: int) -> str:
    """A clause for a text of more segments than `limit`; empty for any other. It names a few of the
    characters that force UCS-2, not in the order of the text, which may be a name or a secret."""
    found = segments_of(text)
    if found.count <= limit:
        return ""
    return f"{_size(found)}, more than the limit of {limit}{_cause(found)}"


def size_in_words(text: str) -> str:
    """`1 segment (56 GSM characters); 104 left`."""
    found = segments_of(text)
    return f"{_size(found)}; {found.left} left{_cause(found)}"


def _size(found: Segments) -> str:
    units = "GSM characters" if found.encoding is Encoding.GSM else "UCS-2 characters"
    return f"{counted(found.count, 'segment')} ({found.units} {units})"


def _cause(found: Segments) -> str:
    return f"; UCS-2 is needed for {_named(found.forcing)}" if found.forcing else ""


def _named(letters: Sequence[str]) -> str:
    """`ç (U+00E7)`, for the first few."""
    told = [f"{letter if letter.isprintable() else ''} (U+{ord(letter):04X})".strip() for letter in letters]
    more = f" and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return ", ".join(told[:NAMED]) + more
