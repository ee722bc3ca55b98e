"""Images on other servers, for a picture that loads none: their alternative texts, in the room they have."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser

_IMAGE = re.compile(r"""<img\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_REMOTE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
_BOX = "display:inline-block;overflow:hidden;background-color:#80808033"


def without_remote_images(html: str) -> str:
    """`html` with a box in place of each image on another server: Chromium paints a broken one as an icon."""
    return _IMAGE.sub(lambda found: _boxed(found[0]), html)


def _boxed(tag: str) -> str:
    has = _attributes(tag)
    if not _REMOTE.match(has.get("src", "")):
        return tag
    sizes = [f"{name}:{has[name]}px" for name in ("width", "height") if has.get(name, "").isdecimal()]
    style = ";".join([_BOX, *sizes, has.get("style", "")])
    named = f' class="{escape(has["class"])}"' if has.get("class") else ""
    return f'<span{named} style="{escape(style)}">{escape(has.get("alt", ""))}</span>'


def _attributes(tag: str) -> dict[str, str]:
    parser = _Tag()
    parser.feed(tag)
    return parser.found


class _Tag(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found = {name: value or "" for name, value in attrs}
