"""The contrast of text with what is behind it, in light and in dark mode (WCAG 2.2, section 1.4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from waypost.rendering.checks import colours
from waypost.rendering.checks.cascade import Cascade, TooManyRules
from waypost.rendering.checks.colours import Colour, attribute_colour, colour_of, contrast, in_hex, over
from waypost.rendering.checks.css import Tokens
from waypost.rendering.checks.finding import Finding
from waypost.rendering.checks.page import Element, Page

LEAST, LEAST_LARGE = 4.5, 3.0
LARGE, LARGE_BOLD = 24.0, 18.66  # px: 18 and 14 points, from which text is large

_UNSEEN = frozenset({"head", "title", "style", "script", "template", "noscript"})
_BOLD = frozenset({"b", "strong", "th", "h1", "h2", "h3", "h4", "h5", "h6"})
_SIZES = {"h1": 2.0, "h2": 1.5, "h3": 1.17, "h5": 0.83, "h6": 0.67, "small": 0.83}  # of the text around
_WORDS = {
    "xx-small": 9.0,
    "x-small": 10.0,
    "small": 13.0,
    "medium": 16.0,
    "large": 18.0,
    "x-large": 24.0,
    "xx-large": 32.0,
}
_UNITS = {"px": 1.0, "pt": 4 / 3, "rem": 16.0, "pc": 16.0, "in": 96.0, "cm": 37.8, "mm": 3.78}


@dataclass(frozen=True, slots=True)
class _Look:
    """How an element's text looks. known: whether a plain colour is behind it, and no image. opacity: of the
    element and those around it together; backdrop: what is behind the outermost that is not opaque."""

    colour: Colour
    behind: Colour
    size: float
    bold: bool
    seen: bool
    known: bool
    opacity: float
    backdrop: Colour

    @property
    def painted(self) -> tuple[Colour, Colour]:
        """The colours of the text and of what is behind it, as a reader sees them."""
        behind = over((*self.behind[:3], self.opacity), self.backdrop)
        text = over(self.colour, self.behind)
        return over((*text[:3], self.opacity), self.backdrop), behind

    @property
    def readable(self) -> bool:
        """Whether a reader sees the text, and it is known on what. MJML sets size 0 between its tables."""
        return self.seen and self.known and self.size > 1


def contrasts(page: Page) -> Iterator[Finding]:
    """A finding for each text that its background makes hard to read."""
    try:
        cascade = Cascade(page)
    except TooManyRules as error:
        yield page.fault(None, f"the style sheets have {error}, so contrast is not checked; use fewer rules")
        return
    for scheme in ("light", "dark"):
        looks: dict[Element, _Look] = {}
        for element in page.elements:
            around = looks[element.parent] if element.parent else _of_page(page, scheme)
            look = looks[element] = _look(element, around, cascade.of(element, scheme), scheme)
            if look.readable and any(text.strip() for text in element.texts):
                yield from _too_little(page, element, look, scheme)


def _of_page(page: Page, scheme: str) -> _Look:
    """How a page without any style looks. In dark mode it is dark if it says that it can be."""
    named = [one.attributes.get("content", "") for one in page.of("meta") if _is_scheme(one)]
    dark = scheme == "dark" and any("dark" in one for one in named)
    text, behind = (colours.WHITE, colours.DARK_PAGE) if dark else (colours.BLACK, colours.WHITE)
    return _Look(text, behind, 16.0, False, True, True, 1.0, behind)


def _is_scheme(meta: Element) -> bool:
    return meta.attributes.get("name", "").lower() == "color-scheme"


def _look(element: Element, around: _Look, values: Mapping[str, Tokens], scheme: str) -> _Look:
    if not around.seen or element.tag in _UNSEEN or _hidden(element, values):
        return replace(around, seen=False)
    behind, known = _behind(element, around, values)
    opacity = around.opacity * _opacity(values)
    return _Look(
        colour=_colour(element, around, values, scheme),
        behind=behind,
        size=_size(element, around, values),
        bold=_bold(element, around, values),
        seen=True,
        known=known,
        opacity=opacity,
        backdrop=around.backdrop if around.opacity < 1 else around.behind,
    )


def _hidden(element: Element, values: Mapping[str, Tokens]) -> bool:
    """Whether nobody sees the element, as its preheader is hidden from a mail's reader."""
    if "hidden" in element.attributes or _word(values.get("display", ())) == "none" or not _opacity(values):
        return True
    if _word(values.get("visibility", ())) in ("hidden", "collapse"):
        return True
    cuts = _word(values.get("overflow", ())) in ("hidden", "clip")
    return cuts and any(_is_nothing(values.get(name, ())) for name in _ROOM)


_ROOM = ("max-height", "max-width", "height", "width")


def _is_nothing(value: Tokens) -> bool:
    return len(value) == 1 and getattr(value[0], "value", None) == 0


def _opacity(values: Mapping[str, Tokens]) -> float:
    token = next(iter(values.get("opacity", ())), None)
    if token is None or token.type not in ("number", "percentage"):
        return 1.0
    return min(max(token.value / (100 if token.type == "percentage" else 1), 0.0), 1.0)


def _word(value: Tokens) -> str:
    return value[0].lower_value if len(value) == 1 and value[0].type == "ident" else ""


def _colour(element: Element, around: _Look, values: Mapping[str, Tokens], scheme: str) -> Colour:
    named = values.get("color", ())
    if named and (found := colour_of(named[0])):
        return found
    if attribute := element.attributes.get("color" if element.tag == "font" else "text", ""):
        return attribute_colour(attribute) or around.colour
    if element.tag == "a" and "href" in element.attributes and not named:
        dark = scheme == "dark" and around.behind == colours.DARK_PAGE
        return colours.DARK_LINK if dark else colours.LINK
    return around.colour


def _behind(element: Element, around: _Look, values: Mapping[str, Tokens]) -> tuple[Colour, bool]:
    """The colour behind an element's text, and whether no image is there."""
    value = [*values.get("background", ()), *values.get("background-color", ())]
    found = [colour for colour in map(colour_of, value) if colour is not None]
    if not value and (attribute := element.attributes.get("bgcolor")):
        found = [attribute_colour(attribute) or colours.NONE]
    behind = over(found[-1], around.behind) if found else around.behind
    covers = bool(found) and found[-1][3] == 1
    image = [*values.get("background", ()), *values.get("background-image", ())]
    has_image = any(token.type == "url" or (token.type == "function" and _paints(token)) for token in image)
    return behind, (around.known or covers) and not has_image


def _paints(function: object) -> bool:
    name: str = getattr(function, "lower_name", "")
    return name == "url" or name.endswith("gradient")


def _size(element: Element, around: _Look, values: Mapping[str, Tokens]) -> float:
    """The size of the text in px."""
    value = [*values.get("font-size", ())] or [
        one for one in values.get("font", ()) if one.type == "dimension"
    ]
    if not value:
        return around.size * _SIZES.get(element.tag, 1.0)
    token = value[0]
    match token.type:
        case "dimension" if token.lower_unit == "em":
            return token.value * around.size
        case "dimension":
            return token.value * _UNITS.get(token.lower_unit, 1.0)
        case "percentage":
            return token.value / 100 * around.size
        case "number":
            return token.value
        case "ident":
            return _WORDS.get(token.lower_value, around.size)
        case _:
            return around.size


def _bold(element: Element, around: _Look, values: Mapping[str, Tokens]) -> bool:
    for token in (*values.get("font-weight", ()), *values.get("font", ())):
        if token.type == "number":
            return token.value >= 700
        if token.type == "ident" and token.lower_value in ("bold", "bolder", "normal", "lighter"):
            return token.lower_value.startswith("bold")
    return around.bold or element.tag in _BOLD


def _too_little(page: Page, element: Element, look: _Look, scheme: str) -> Iterator[Finding]:
    text, behind = look.painted
    ratio = contrast(text, behind)
    large = look.size >= (LARGE_BOLD if look.bold else LARGE)
    least = LEAST_LARGE if large else LEAST
    if ratio < least:
        shown = int(ratio * 10) / 10  # never rounded up to what it has to be
        yield page.fault(
            element,
            f"{'large ' if large else ''}text {in_hex(text)} on {in_hex(behind)} has a contrast of "
            f"{shown}:1 in {scheme} mode; choose colours of {least}:1 or more",
        )
