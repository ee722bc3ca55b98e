"""What Gmail, Outlook for Windows and Apple Mail do not know of HTML and CSS (data of caniemail.com).

Only what an author wrote is looked at: the MJML compiler has its own fallbacks for Outlook. Rules inside an
at-rule, such as those for dark mode, are for the programs that know it, and the mail stands without them. It
also stands without a declaration whose property has a simpler value before it in the same block. Selectors
are not looked at: what matters stands in inline styles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from waypost.rendering.checks.css import Declaration, functions, inline, stylesheet, units
from waypost.rendering.checks.finding import Finding, Level
from waypost.rendering.checks.page import Element, Page

_LAYOUT = "the parts of the mail stand elsewhere; use tables or mj-column"
_COLOUR = "the colour is lost; write a plain one (#rrggbb) before it"
_IMAGE = "readers see no image; use PNG or JPEG"
_FORM = "readers cannot fill it in; link to a page"

# A mail that depends on one of these is broken where it is not known, and what to do instead.
BREAKS = {
    **dict.fromkeys(("display:flex", "display:inline-flex", "display:grid", "display:inline-grid"), _LAYOUT),
    **dict.fromkeys(("position:absolute", "position:fixed", "position:sticky"), _LAYOUT),
    **dict.fromkeys(("grid-template", "grid-template-areas", "grid-template-columns"), _LAYOUT),
    "writing-mode": "the text runs in another direction; use an image of it with alt",
    **dict.fromkeys(("rgba()", "light-dark()", "lch()", "oklch()", "lab()", "oklab()"), _COLOUR),
    "var()": "the declaration is lost; write the value itself",
    "visibility": "hidden text is shown; use display:none",
    "hidden=": "hidden text is shown; use display:none",
    "background-image": "text has nothing behind it; add a background-color",
    **dict.fromkeys((".avif", ".heic", ".heif", ".ico", ".mp4", ".svg", ".tif", ".tiff", ".webp"), _IMAGE),
    **dict.fromkeys(("<svg>", "data:"), _IMAGE),
    **dict.fromkeys(("<audio>", "<video>", "<object>"), "readers see nothing; link to it, with an image"),
    **dict.fromkeys(("<form>", "<input>", "<button>", "<select>", "<textarea>"), _FORM),
    **dict.fromkeys(("<dialog>", "<meter>", "<progress>"), "it is not shown as such; write a text"),
    "<link>": "the style sheet is not loaded; write it into mj-style",
    "@import": "the style sheet is not loaded; write it into mj-style",
}

# Where these are not known, a mail looks plainer, and nothing of it is lost.
HARMLESS = {
    # corners, shadows and other ornament
    "border-radius", "box-shadow", "text-shadow", "outline", "outline-offset", "backdrop-filter",
    "background-clip", "background-origin", "background-position", "background-repeat",
    "background-size", "background-blend-mode", "border-image", "accent-color", "list-style-image",
    "list-style-position", "caption-side", "empty-cells", "text-emphasis", "text-emphasis-position",
    # how lines break and letters stand
    "overflow-wrap", "word-wrap", "white-space", "white-space-collapse", "hyphens",
    "hyphenate-character", "hyphenate-limit-chars", "orphans", "widows", "tab-size", "text-wrap",
    "text-overflow", "text-justify", "text-align-last", "word-spacing", "font-kerning", "font-stretch",
    "text-decoration-color", "text-decoration-line", "text-decoration-skip-ink",
    "text-decoration-style", "text-decoration-thickness", "text-underline-offset",
    "text-underline-position", "@font-face",
    # boxes whose text is then shown whole
    "overflow",
    # for a pointer, and for movement
    "cursor", "transition", "animation", "@keyframes", "user-select", "resize", "scroll-snap-type",
    "scroll-snap-align",
    # rules for some screens and dark mode: the mail stands without them
    "@media", "@supports", "color-scheme",
    # sizes that Outlook computes from the content, and what does nothing without another property
    "box-sizing", "border-spacing", "min-width", "min-height", "max-height", "table-layout", "clear",
    "top", "right", "bottom", "left", "inset",
    # meaning for screen readers, and hints
    "aria-describedby=", "aria-labelledby=", "srcset=", "loading=", "target=", "required=", "<abbr>",
    "<acronym>", "<bdi>", "<wbr>", "<picture>", "<ruby>", "<rp>", "<rt>",
}  # fmt: skip

# The colour that readers see behind text where no image is shown.
_BACKGROUNDS = ("background-color", "background")
_GRADIENTS = ("linear-gradient()", "radial-gradient()", "conic-gradient()")


@cache
def lacking() -> Mapping[str, Sequence[str]]:
    """The clients that lack a feature, by how the feature is written."""
    read: Any = json.loads(
        files("waypost.rendering.checks").joinpath("client_support.json").read_text(encoding="utf-8")
    )
    return read["features"]


def client_support(page: Page) -> Iterator[Finding]:
    """Findings about what a client lacks outright."""
    for element in page.elements:
        if element.written or not page.has_lines:
            for used in _used_by(element):
                yield from _finding(page, element.nearest_line, used)
    for sheet in page.sheets:
        if not sheet.marks and page.has_lines:
            continue  # of the MJML compiler
        parsed = stylesheet(sheet.text)
        for name, line in parsed.at_rules:
            yield from _finding(page, sheet.source_line(line), f"@{name}")
        for rule in parsed.rules:
            if not rule.conditions:
                for line, used in _used_in(rule.declarations):
                    yield from _finding(page, sheet.source_line(line), used)


def _finding(page: Page, line: int, used: str) -> Iterator[Finding]:
    clients = lacking().get(used, ())
    if clients and used not in HARMLESS:
        level = Level.FAULT if used in BREAKS else Level.NOTE
        rest = f": {BREAKS[used]}" if used in BREAKS else "; make sure that the mail stands without it"
        yield page.at(level, line, f"{_in_words(clients)} {_LACKS[len(clients) > 1]} {used}{rest}")


_LACKS = ("does not know", "do not know")


def _in_words(clients: Sequence[str]) -> str:
    *others, last = clients
    return f"{', '.join(others)} and {last}" if others else last


def _used_by(element: Element) -> Iterator[str]:
    """How the features are written that an element uses, each once."""
    attributes = element.attributes
    used = {f"<{element.tag}>": None, **{f"{name}=": None for name in attributes}}
    if element.tag == "img":
        source = attributes.get("src", "").strip().lower().partition("?")[0]
        used["data:" if source.startswith("data:") else f".{source.rpartition('.')[2]}"] = None
    used |= {name: None for _, name in _used_in(inline(attributes.get("style", "")))}
    yield from used


def _used_in(declarations: Sequence[Declaration]) -> Iterator[tuple[int, str]]:
    """The line and the feature of each declaration on which its block depends."""
    before: set[str] = set()
    has_background = any(
        one.name in _BACKGROUNDS and not _images_in(one) and len(one.value) > 0 for one in declarations
    )
    for one in declarations:
        features = dict.fromkeys(_features(one))
        if has_background:
            features = {name: None for name in features if name != "background-image"}
        if one.name not in before:
            yield from ((one.line, name) for name in features)
        before.add(one.name)


def _features(one: Declaration) -> Iterator[str]:
    if one.name != "background-image":
        yield one.name
    for token in one.value:
        if token.type == "ident":
            yield f"{one.name}:{token.lower_value}"
    called = [f"{name}()" for name, _ in functions(one.value)]
    if _images_in(one):
        yield "background-image"
    yield from (name for name in called if name not in _GRADIENTS)
    yield from (f"1{unit}" for unit in units(one.value))


def _images_in(one: Declaration) -> bool:
    names = [f"{name}()" for name, _ in functions(one.value)]
    return (
        "url()" in names or bool({*names} & {*_GRADIENTS}) or any(token.type == "url" for token in one.value)
    )
