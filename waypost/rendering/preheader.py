"""The preheader: the hidden text of `<mj-preview>`, which inboxes and lock screens show with the subject."""

from __future__ import annotations

import re
from html import unescape

# The MJML compiler's own style is white on white, which spam filters count against a mail.
_COMPILED = re.compile(
    r'<div style="display:none;font-size:1px;color:#ffffff;line-height:1px;max-height:0px;max-width:0px;'
    r'opacity:0;overflow:hidden;">(.*?)</div>',
    re.DOTALL,
)
_STYLE = "display:none;color:#1c2326;line-height:1px;max-height:0;max-width:0;overflow:hidden;mso-hide:all;"

# Blanks that an inbox does not collapse: without them the mail's first words follow a short preheader.
_LINES, _IN_A_LINE = 4, 25
_PADDING = "\n".join(["&nbsp;&zwnj;" * _IN_A_LINE] * _LINES)


def with_padded_preheader(html: str) -> str:
    """Compiled MJML whose preheader is padded, and not white on white."""
    return _COMPILED.sub(lambda found: f'<div style="{_STYLE}">{found[1]}{_PADDING}</div>', html)


_WRITTEN = re.compile(rf'<div\s+style="{re.escape(_STYLE)}">(.*?)</div>', re.DOTALL)


def preheader_of(html: str) -> str:
    """The preheader of a rendered mail, without its padding; empty without one."""
    found = _WRITTEN.search(html)
    return unescape(found[1]).strip(" \r\n\xa0\u200c") if found else ""
