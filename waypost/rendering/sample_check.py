"""Checks the SMS that a type's sample makes, in every language of the type."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from pydantic import ValidationError

from waypost.model.notification import Notification, ResolvedRecipient
from waypost.model.notification_type import NotificationType
from waypost.rendering.catalogues import BrokenCatalogue
from waypost.rendering.comparing import placeholders
from waypost.rendering.messages import Renderer, words_of
from waypost.rendering.samples import NoSample, Sample, sample_of
from waypost.rendering.sms_segments import USUAL, excess
from waypost.rendering.template_files import TemplateError
from waypost.system.clock import now
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed


def long_sms(renderer: Renderer, type: NotificationType) -> list[str]:
    """A sentence for each language in which the SMS of the sample takes more segments than the type allows,
    or more than is usual if it has no limit. What the type mints has placeholders, which may be shorter. A
    type without a sample that renders has none: `examine` and a sending of the sample name what is wrong."""
    if type.finished is not None or "sms" not in type.kinds:
        return []
    with suppress(NoSample):
        sample = sample_of(type.name, renderer.templates.files.folders)
        return [*_long_in_each(renderer, type, sample)]
    return []


def _long_in_each(renderer: Renderer, type: NotificationType, sample: Sample) -> Iterator[str]:
    limit, templates = type.sms_segments or USUAL, renderer.templates
    advice = "" if type.sms_segments else f", or allow it with sms_segments of {type.name}"
    for lang in templates.languages(type.name):
        with suppress(TemplateError, BrokenCatalogue, ItemFailed, ValidationError):
            notification = _of(type, sample, lang)
            short = words_of(renderer, type, notification, placeholders(type), mail=False).short
            if said := excess(short, limit):
                where = templates.find(type.name, lang).short.display
                yield f"{where}: the SMS of the sample in {lang} takes {said}; shorten it{advice}"


def _of(type: NotificationType, sample: Sample, lang: str) -> Notification:
    moment = now()
    person = ResolvedRecipient("sample", None, None, "", lang, "UTC")
    return Notification(
        new_id(), type.name, type.lane, person, sample.facts, 1, moment, moment + timedelta(hours=1)
    )
