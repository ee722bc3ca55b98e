"""Checks the translations of a type's texts for what they lose: a value, or the meaning of a percent sign."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

from jinja2 import TemplateSyntaxError

from waypost.model.notification_type import NotificationType
from waypost.rendering.catalogues import SOURCE_LANGUAGE, BrokenCatalogue, Key
from waypost.rendering.live_templates import Templates
from waypost.rendering.sandbox import environment_of
from waypost.rendering.template_files import TemplateError
from waypost.rendering.translating import UntranslatableText, messages_in, numbers_in

# A value, a percent sign, or what is neither and so stays in the mail as it is: %, %s, %(name).
_PERCENT = re.compile(r"%\((?P<name>\w+)\)s|%%|(?P<lone>%(?:\(\w*\)?(?:[a-z]\b)?|[a-z]\b)?)")


def losses(templates: Templates, type: NotificationType) -> list[str]:
    """A sentence for each translation of the type's texts that loses a value of its text, or has a percent
    sign that stands for nothing. A type whose templates are broken has none: `examine` names what is
    broken."""
    if type.finished is not None:
        return []
    languages = [lang for lang in templates.languages(type.name) if lang != SOURCE_LANGUAGE]
    return [*dict.fromkeys(said for lang in languages for said in _losses_in(templates, type.name, lang))]


def _losses_in(templates: Templates, type: str, lang: str) -> Iterator[str]:
    with suppress(TemplateError, BrokenCatalogue, UntranslatableText, TemplateSyntaxError, RecursionError):
        translation = templates.translation(lang)
        for name, flat in templates.parts(type, lang).items():
            texts, numbers = _texts_in(name, flat.text)
            for key, source, line in texts:
                forms, _ = translation.find(key, source, line)
                if place := translation.place(key):
                    found = (*_lost(source, forms, numbers.get(key, frozenset())), *_lone(source, forms))
                    yield from (f"{place}{said}" for said in found)


@lru_cache(256)
def _texts_in(
    name: str, text: str
) -> tuple[Sequence[tuple[Key, Sequence[str], int]], Mapping[Key, frozenset[str]]]:
    """The texts to translate of a part, and the values that are the number of a plural text."""
    tree = environment_of(name).parse(text)
    return tuple(messages_in(tree)), numbers_in(tree)


def _lost(source: Sequence[str], forms: Sequence[str], numbers: frozenset[str]) -> Iterator[str]:
    """The values of a text that its translation lacks. A plural form may leave out its number: `one item`. It
    may also leave out a value that only some forms of the text have, if another form has it."""
    wanted, there = [_values(one) for one in source], [_values(one) for one in forms]
    for name in sorted({name for names in wanted for name in names} - numbers):
        needed = all if all(name in names for names in wanted) else any
        if needed(name in names for names in there):
            continue
        yield f"it lacks %({name})s; write %({name})s where its value belongs"


def _lone(source: Sequence[str], forms: Sequence[str]) -> Iterator[str]:
    """The percent signs of a translation that stand for no value. A text that has one itself means it."""
    if any(_lone_in(one) for one in source):
        return
    for lone in sorted({lone for form in forms for lone in _lone_in(form)}):
        yield f"{lone} stays in it as it is; write %% for a percent sign, or %(name)s for a value"


def _values(text: str) -> frozenset[str]:
    return frozenset(found["name"] for found in _PERCENT.finditer(text) if found["name"])


def _lone_in(text: str) -> list[str]:
    return [found["lone"] for found in _PERCENT.finditer(text) if found["lone"]]
