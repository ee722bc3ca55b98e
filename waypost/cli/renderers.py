"""Renderers of the settings' brands, for texts that are looked at and not sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from waypost.config.brands import brands
from waypost.config.mail import allowed_senders
from waypost.config.settings import Settings
from waypost.mail.build import Sender
from waypost.model.brand import DEFAULT, Brand
from waypost.rendering.messages import Renderer
from waypost.rendering.templates import Templates


def renderers(
    settings: Settings,
    templates: Templates,
    known: Mapping[str, Brand] | None = None,
    *,
    covered: bool = False,
) -> Callable[[str, tuple[str, ...]], Renderer]:
    """Makes the renderer of a brand for the kinds of a route; of the default brand where the brand is gone.
    Its mails are not signed. known: all brands; those of the settings without it. covered: see Renderer."""
    known = brands(settings) if known is None else known

    @cache
    def of(brand: str, route: tuple[str, ...]) -> Renderer:
        whose = known.get(brand) or known[DEFAULT]
        return Renderer(
            templates=templates,
            sender=Sender.parse(whose.sender),
            signature=whose.signature,
            reply_to=whose.reply_to,
            signers=(),
            senders=allowed_senders(settings, whose),
            served=route,
            brand=whose,
            covered=covered,
        )

    return of
