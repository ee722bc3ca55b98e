"""Renderers for commands that look at mails and send nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from waypost.config.settings import Settings
from waypost.model.brand import DEFAULT
from waypost.rendering.messages import Renderer
from waypost.rendering.templates import Templates


def renderers(settings: Settings, templates: Templates) -> Callable[[str, Sequence[str]], Renderer]:
    """Makes the renderer of a brand; of the default brand where the settings no longer have the brand."""
    from waypost.config.brands import brands
    from waypost.delivery.renderer import renderer

    known = brands(settings)

    @cache
    def of(brand: str, route: Sequence[str]) -> Renderer:
        return renderer(settings, templates, known.get(brand) or known[DEFAULT], route)

    return of
