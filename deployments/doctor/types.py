"""The checks of the templates and routes of types that can be used; each fault names its file."""

from __future__ import annotations

from collections.abc import Sequence

from deployments.registry import registered
from waypost.channels.channel import Channel
from waypost.config.settings import Settings
from waypost.policy.routing import unknown_words
from waypost.rendering.template_check import examine
from waypost.rendering.templates import Templates


def template_faults(settings: Settings) -> list[str]:
    """A sentence for each fault in the templates of every type, in every language."""
    templates = Templates(settings.templates, settings.default_locale)
    return [fault for one in registered().values() for fault in examine(templates, one.type)]


def route_faults(available: Sequence[Channel]) -> list[str]:
    """A sentence for each word of a type's route that is served neither by an available provider nor by a
    usual kind of provider."""
    return [
        f"{one.file}: the route names {word}"
        for one in registered().values()
        for word in unknown_words(one.type.route, available)
    ]
