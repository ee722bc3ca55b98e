"""A page as a response: its headers, its styles and its words."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from waypost.gateway.pages.wording import written
from waypost.mail.masking import mask
from waypost.model.brand import Brand
from waypost.rendering.checks.colours import NONE, colour_of, contrast

ACCENT, ACCENT_DARK = "#0f6b66", "#6fcac3"  # as in mails of brands without colours
WHITE, INK, BLACK = "#ffffff", "#0e1b1a", "#000000"
READABLE = 4.5  # WCAG 2.2, section 1.4.3
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_CSS = Path(__file__).parent / "style.css"


def headers(brand: Brand | None = None) -> dict[str, str]:
    """The headers of every page. Nothing is loaded but the stylesheet and the brand's logo, no script runs,
    and no cache and no search engine keeps a page."""
    logo = f"img-src {_origin(brand.logo)}; " if brand and brand.logo else ""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'self'; {logo}form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow",
        "Cache-Control": "no-store",
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def page(
    request: Request, name: str, lang: str, brand: Brand, status: int = 200, address: str = "", **values: Any
) -> Response:
    """A page. name: of its template. address: of the recipient; the page shows it masked."""
    html = written(
        name,
        lang,
        {
            **values,
            "brand": brand,
            "address": mask(address) if address else "",
            "style": _to_the_top(request) + _style(brand),
        },
    )
    return Response(html, status, headers(brand), media_type="text/html")


def _to_the_top(request: Request) -> str:
    """A relative path: the public address may have a path of its own, which the proxy removes."""
    return "../" * (request.url.path.count("/") - 1)


def _style(brand: Brand) -> str:
    given = {"accent": brand.accent, "dark": brand.accent_dark}
    query = urlencode({name: value.removeprefix("#") for name, value in given.items() if value})
    return f"style.css?{query}" if query else "style.css"


def style(accent: str, accent_dark: str) -> Response:
    """The stylesheet in a brand's colours, as six hexadecimal digits; any other text stands for the usual
    colour. A policy without inline styles leaves no other way to tell a page its colours."""
    light, dark = _colour(accent, ACCENT), _colour(accent_dark, ACCENT_DARK)
    css = _css().replace("ACCENT_DARK", dark).replace("ACCENT", light)
    css = css.replace("TEXT_ON_LIGHT", _on(light, WHITE)).replace("TEXT_ON_DARK", _on(dark, INK))
    return Response(
        css, headers={**headers(), "Cache-Control": "public, max-age=3600"}, media_type="text/css"
    )


def _colour(given: str, usual: str) -> str:
    return f"#{given}" if COLOUR.fullmatch(f"#{given}") else usual


def _on(accent: str, usual: str) -> str:
    """The colour of a text on a brand's colour: the usual one if it can be read there."""
    return (
        usual if _contrast(usual, accent) >= READABLE else max((WHITE, BLACK), key=partial(_contrast, accent))
    )


def _contrast(one: str, other: str) -> float:
    return contrast(colour_of(one) or NONE, colour_of(other) or NONE)


@cache
def _css() -> str:
    return _CSS.read_text()
