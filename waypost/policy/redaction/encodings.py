"""Undoes the encodings in which a reply may repeat a text unrecognisably. Pure, and linear in the text."""

from __future__ import annotations

import re
from html import unescape
from unicodedata import normalize
from urllib.parse import unquote

_ENCODED = re.compile("[%&\\u0080-\\U0010ffff]")
_CUT_ESCAPE = re.compile(r"(?:%[0-9a-fA-F]?|&#?\w{0,8})\Z")
_ROUNDS = 3  # an encoding may be encoded again


def in_plain_letters(text: str, *, cut: bool = False) -> str:
    """`text` percent- and entity-decoded, with compatible letters as plain ones (NFKC): fullwidth digits as
    digits. cut: whether an escape at the end may be incomplete. Most texts need one search."""
    for _ in range(_ROUNDS):
        if not _ENCODED.search(text):
            break
        before, text = text, normalize("NFKC", unescape(unquote(_CUT_ESCAPE.sub("", text) if cut else text)))
        if text == before:
            break
    return text
