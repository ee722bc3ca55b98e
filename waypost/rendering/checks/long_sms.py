"""Checks how long the SMS of a type's sample is, in every language of the type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pydantic import ValidationError

from waypost.model.notification_type import NotificationType
from waypost.rendering.catalogues import BrokenCatalogue
from waypost.rendering.checks.finding import Finding, Found, Level
from waypost.rendering.checks.rendered_samples import notification_of
from waypost.rendering.comparing import placeholders
from waypost.rendering.messages import Renderer, words_of
from waypost.rendering.samples import NoSample, sample_of
from waypost.rendering.sms_segments import USUAL, excess
from waypost.rendering.template_files import TemplateError
from waypost.system.isolation import ItemFailed


def long_sms(renderer: Renderer, type: NotificationType) -> Iterator[Found]:
    """A finding for each language in which the SMS of the sample takes more segments than the type allows,
    or, as a note, more than is usual if it has no limit. What the type mints has placeholders, which may be
    shorter. A sample that does not render has none: other checks name what is wrong."""
    if type.finished is not None or "sms" not in type.kinds:
        return
    limit, templates = type.sms_segments or USUAL, renderer.templates
    advice = "" if type.sms_segments else f", or allow it with sms_segments of {type.name}"
    level = Level.FAULT if type.sms_segments else Level.NOTE
    for lang in templates.languages(type.name):
        with suppress(NoSample, TemplateError, BrokenCatalogue, ItemFailed, ValidationError):
            sample = sample_of(type.name, templates.files.folders, renderer.brand.sender)
            notification = notification_of(type, sample, lang)
            short = words_of(renderer, type, notification, placeholders(type), mail=False).short
            if said := excess(short, limit):
                file = templates.find(type.name, lang).short.display
                said = f"the SMS of the sample takes {said}; shorten it{advice}"
                yield type.name, lang, Finding(level, file, 0, said)
