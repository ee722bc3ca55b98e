"""A mail's HTML as a page on this machine shows it, in a frame: it runs no script and loads nothing."""

from __future__ import annotations

import re

# Its links open in a tab of their own. Of the page's origin, so that the page's script can read the mail's
# height; the mail itself runs no script.
SANDBOX = "allow-popups allow-popups-to-escape-sandbox allow-same-origin"
MAIL_POLICY = (
    f"sandbox {SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)

_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_TAB = '<base target="_blank">'


def framed(html: str) -> str:
    """`html` with links that open in a tab of their own. Nothing stands before its doctype: a browser lays a
    page without a doctype at its beginning out in another way (quirks mode)."""
    head = _HEAD.search(html)
    return f"{html[: head.end()]}{_TAB}{html[head.end() :]}" if head else f"{_TAB}{html}"


_QUERY = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.IGNORECASE)
_EITHER = re.compile(
    r"""(?<![-\w])(color-scheme(?:["']?\s+content=["']|\s*:)\s*)(?:light\s+dark|dark\s+light)\b""",
    re.IGNORECASE,
)
_TRUE, _FALSE = "(min-width: 0px)", "(max-width: 0px)"


def in_scheme(html: str, scheme: str) -> str:
    """`html` as in a browser that is set to `scheme`, light or dark, whatever this browser is set to: a frame
    has no setting of its own. Its media queries for a scheme are always true or never, and where it can have
    both schemes, it has this one."""
    chosen = _QUERY.sub(lambda found: _TRUE if found[1].lower() == scheme else _FALSE, html)
    return _EITHER.sub(lambda found: f"{found[1]}{scheme}", chosen)
