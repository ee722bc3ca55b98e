"""The source lines of a rendered mail: its MJML is compiled again with its line in every element.

MJML keeps `css-class` of its own elements, and attributes of HTML. So a marked page has the elements of the
real one in the same order, and each names its line.
"""

from __future__ import annotations

import re
from dataclasses import replace

from waypost.rendering.html_comments import HTML_COMMENT
from waypost.rendering.layouts import Flat
from waypost.rendering.live_templates import Templates
from waypost.rendering.mjml_fault import TAG, masked

ATTRIBUTE, CLASS = "data-waypost-line", "waypost-line-"  # of HTML elements, and of MJML's
SHEET_MARK = re.compile(r"/\*waypost-line-(\d+)\*/")

# A mark inside a text to translate would make it another text.
_TRANS = re.compile(r"\{%-?\s*trans\b.*?%\}.*?\{%-?\s*endtrans\b.*?%\}", re.DOTALL)
_BLANK = re.compile(r"\s*")
_CLASS = re.compile(r'\scss-class="')


class MarkedTemplates(Templates):
    """Templates whose pages name the source line of every element and style sheet. Their texts are empty."""

    def parts(self, type: str, lang: str) -> dict[str, Flat]:
        page = "body.mjml"
        parts = super().parts(type, lang)
        return {
            name: replace(flat, text=marked(flat.text) if name == page else "")
            for name, flat in parts.items()
        }


def marked(source: str) -> str:
    """MJML with the line of each element in it. Its lines stay the same."""
    hidden = source
    for pattern in (HTML_COMMENT, _TRANS):
        hidden = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), hidden)
    hidden = masked(hidden)
    body = hidden.find("<mj-body")
    written: list[str] = []
    at, line, counted = 0, 1, 0
    for found in TAG.finditer(hidden):
        where, mark = _mark(found, found.start() >= body >= 0)
        line, counted = line + source.count("\n", counted, where), where
        written += [source[at:where], mark % line if mark else ""]
        at = where
    return "".join([*written, source[at:]])


def _mark(tag: re.Match[str], in_body: bool) -> tuple[int, str]:
    """Where a tag's mark is put in, and the mark with %d for its line; empty for a tag that takes none."""
    ends, name = tag[1], tag[2]
    if ends:
        return tag.start(), ""
    if name == "mj-style":
        begin = _BLANK.match(tag.string, tag.end())  # MJML leaves out the blanks before a style sheet
        return begin.end() if begin else tag.end(), "/*waypost-line-%d*/"
    if not name.startswith("mj"):
        return tag.end(2), f' {ATTRIBUTE}="%d"'
    if not in_body or name == "mj-raw":
        return tag.start(), ""
    if found := _CLASS.search(tag[0]):
        return tag.start() + found.end(), f"{CLASS}%d "
    return tag.end(2), f' css-class="{CLASS}%d"'
