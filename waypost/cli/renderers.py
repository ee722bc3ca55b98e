"""Renderers of brands, for texts that are looked at and not sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from waypost.config.brands import brands
from waypost.config.settings import Settings
from waypost.delivery.renderer import renderer
from waypost.model.brand import DEFAULT, Brand
from waypost.rendering.live_templates import Templates
from waypost.rendering.messages import Renderer


def renderers(
    settings: Settings,
    templates: Templates,
    known: Mapping[str, Brand] | None = None,
    *,
    covered: bool = False,
) -> Callable[[str, Sequence[str]], Renderer]:
    """Makes the renderer of a brand for the kinds of a route; of the default brand where the brand is gone.
    Its mails are not signed. known: all brands; those of the settings without it. covered: see Renderer."""
    known = brands(settings) if known is None else known

    @cache
    def of(brand: str, route: Sequence[str]) -> Renderer:
        whose = known.get(brand) or known[DEFAULT]
        return replace(renderer(settings, templates, whose, route), covered=covered)

    return of
