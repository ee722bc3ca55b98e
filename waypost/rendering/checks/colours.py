"""Colours as CSS writes them, and the contrast of two of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tinycss2 import color4  # pyright: ignore[reportMissingTypeStubs]

Colour = tuple[float, float, float, float]  # red, green, blue and alpha, each from 0 to 1
BLACK, WHITE, NONE = (0.0, 0.0, 0.0, 1.0), (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0)
# What a browser paints with `color-scheme: dark`: the page, and its links.
DARK_PAGE, DARK_LINK = (0.07, 0.07, 0.07, 1.0), (0.62, 0.62, 1.0, 1.0)
LINK = (0.0, 0.0, 0.93, 1.0)


def colour_of(value: Any) -> Colour | None:
    """The colour that a token or text is; None for another value, and for an unknown colour space."""
    try:
        found: Any = color4.parse_color(value)  # pyright: ignore
        if found is None or found == "currentcolor":
            return None
        red, green, blue = found.to("srgb").coordinates
        return float(red), float(green), float(blue), float(found.alpha)
    except (NotImplementedError, TypeError, ValueError):
        return None


_SYSTEM = ("inherit", "initial", "unset", "revert", "revert-layer", "currentcolor")
_KNOWN_FORMS = ("rgb", "rgba", "hsl", "hsla", "hwb")


def is_colour(token: Any) -> bool:
    """Whether a token may be a colour: a colour that `colour_of` knows, a keyword that stands for another, or
    a function of which only a browser knows the value, as var()."""
    if colour_of(token) is not None:
        return True
    if token.type == "ident":
        return token.lower_value in _SYSTEM
    return token.type == "function" and token.lower_name not in _KNOWN_FORMS


@lru_cache(1000)
def attribute_colour(text: str) -> Colour | None:
    """The colour of a bgcolor or color attribute, which may lack its # (HTML, section 2.3.6)."""
    return colour_of(text) or colour_of(f"#{text}")


def over(front: Colour, back: Colour) -> Colour:
    """`front` painted over an opaque colour."""
    alpha = front[3]
    red, green, blue = (
        alpha * one + (1 - alpha) * other for one, other in zip(front[:3], back, strict=False)
    )
    return red, green, blue, 1.0


def contrast(one: Colour, other: Colour) -> float:
    """From 1 to 21 (WCAG 2.2, "contrast ratio")."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (_linear(one) for one in colour[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(one: float) -> float:
    return one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4


def in_hex(colour: Iterable[float]) -> str:
    """`#0f6b66`."""
    return "#" + "".join(f"{round(one * 255):02x}" for one in [*colour][:3])
