"""Checks a type's templates without sending: for unknown names, unknown MJML elements, and subjects and texts
that no message can use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path

from jinja2 import TemplateSyntaxError, nodes

from waypost.model.notification_type import NotificationType
from waypost.rendering.catalogues import SOURCE_LANGUAGE, BrokenCatalogue, Key, babel_name
from waypost.rendering.extent import Extent, extents
from waypost.rendering.html_comments import HTML_COMMENT
from waypost.rendering.layouts import Flat
from waypost.rendering.live_templates import Templates, with_parents
from waypost.rendering.mjml_fault import lines_of
from waypost.rendering.sandbox import TEXT, environment_of
from waypost.rendering.template_files import PARTS, TemplateError, TemplateFiles
from waypost.rendering.template_names import (
    IN_EVERY_TEMPLATE,
    fact_names,
    known,
    unknown,
    unknown_in,
    uses,
)
from waypost.rendering.template_set import html_of, place, syntax
from waypost.rendering.translating import UntranslatableText, messages_in

_ELEMENT = re.compile(r"<(mj-[a-z-]+)")


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """A fault in a type's templates, as a sentence. unknown: the name that the template uses and the type
    does not have. file: the template that has the fault, if one has it."""

    said: str
    unknown: str = ""
    file: Path | None = None


def examine(templates: Templates, type: NotificationType) -> list[str]:
    """A sentence for each fault, with its file; empty without faults."""
    return [fault.said for fault in faults_in(templates, type)]


def faults_in(templates: Templates, type: NotificationType) -> list[TemplateFault]:
    """Every fault; empty without faults."""
    faults = [*_of_the_declaration(templates, type)]
    if type.finished is None:  # otherwise its mails use no template
        try:
            faults += _of_the_templates(templates, type)
        except TemplateError as error:  # a folder that cannot be read
            faults.append(TemplateFault(str(error)))
    return faults


def _of_the_templates(templates: Templates, type: NotificationType) -> list[TemplateFault]:
    faults: list[TemplateFault] = []
    languages = templates.languages(type.name)
    if not languages:
        missing = f"templates/{type.name}/"
        faults.append(TemplateFault(f"{missing} is missing: add it with {', '.join(PARTS)}"))
    files_of = partial(_files_of, templates, type)
    for _, alike in groupby(sorted(languages, key=files_of), files_of):
        faults += _of_languages(templates, type, [*alike])
    return faults


def _files_of(templates: Templates, type: NotificationType, lang: str) -> tuple[str, ...]:
    """The files of a language's parts. Most languages have the same, and differ by their catalogues."""
    return tuple(templates.files.part(type.name, with_parents(lang), part) or "" for part in PARTS)


def untranslated(templates: Templates, type: NotificationType) -> list[str]:
    """A sentence for each text of the type without a translation into a language in which it is sent. A type
    whose templates are broken has none: `examine` names what is broken."""
    if type.finished is not None:
        return []
    return [
        f"{where}: no translation into {lang}: {text!r}"
        for lang in templates.languages(type.name)
        if lang != SOURCE_LANGUAGE
        for (_, text), where in _untranslated_in(templates, type.name, lang).items()
    ]


def _untranslated_in(templates: Templates, type: str, lang: str) -> Mapping[Key, str]:
    """The texts without a translation, each with the first place that has it."""
    found: dict[Key, str] = {}
    with suppress(TemplateError, BrokenCatalogue, UntranslatableText, TemplateSyntaxError, RecursionError):
        for name, flat in templates.parts(type, lang).items():
            translation = templates.translation(lang)
            for text in _texts_in(name, flat.text):
                translation.find(*text)
            for key, line in translation.missing.items():
                found.setdefault(key, place(templates.files, flat, line))
    return found


def scarce(templates: Templates, type: NotificationType) -> list[str]:
    """A sentence for each language whose catalogue names the type, but translates too little of it."""
    if type.finished is not None:
        return []
    return [
        f"templates/_locales/{babel_name(one.lang)}: {type.name} is not sent in {one.lang}, as "
        f"{one.translated} of its {one.texts} texts are translated; translate more than half of them"
        for one in templates.scarcely_translated(type.name)
        if one.meant
    ]


def left_out(templates: Templates, type: NotificationType) -> list[str]:
    """A sentence if catalogues of other types translate a few texts of the type too."""
    if type.finished is not None:
        return []
    found = [one.lang for one in templates.scarcely_translated(type.name) if not one.meant]
    made = "`waypost templates update` makes a catalogue of its texts"
    said = f"not sent in {', '.join(found)}, as too few of its texts are translated; {made}"
    return [said] if found else []


@lru_cache(256)
def _texts_in(name: str, text: str) -> Sequence[tuple[Key, Sequence[str], int]]:
    """The texts to translate of a part, which are the same for each language."""
    return tuple(messages_in(environment_of(name).parse(text)))


def _of_the_declaration(templates: Templates, type: NotificationType) -> Iterator[TemplateFault]:
    for field in ("reply_to", "list_unsubscribe"):
        source: str = getattr(type, field)
        try:
            templates.line(source)
        except TemplateError as error:
            yield TemplateFault(f"{field} of {type.name}: {error}")
        else:
            for name, (_, near) in uses(TEXT.parse(source), known(type)).items():
                yield TemplateFault(unknown(f"{field} of {type.name}", name, near), name)


def _of_languages(
    templates: Templates, type: NotificationType, languages: Sequence[str]
) -> Iterator[TemplateFault]:
    """The faults of languages whose parts are the same files: of the parts, once, and of each translation."""
    first, *others = languages
    try:
        parts = templates.parts(type.name, first)
    except TemplateError as error:
        yield TemplateFault(str(error))
        return
    try:
        templates.load(type.name, first)
        for name, flat in parts.items():
            yield from _of_a_part(templates, type, first, name, flat)
    except (TemplateError, BrokenCatalogue) as error:
        yield TemplateFault(str(error))
    for lang in others:
        yield from _of_a_translation(templates, type, lang, parts)


def _of_a_translation(
    templates: Templates, type: NotificationType, lang: str, parts: Mapping[str, Flat]
) -> Iterator[TemplateFault]:
    """What a language alone can have wrong: a translation that does not fit its text, or the part."""
    try:
        translation = templates.translation(lang)
        for name, flat in parts.items():
            tree = syntax(templates.files, name, flat, translation)
            if name.endswith(".txt"):
                where = templates.files.display(flat.files[0])
                yield from map(TemplateFault, _of_its_text(where, tree, type))
    except (TemplateError, BrokenCatalogue) as error:
        yield TemplateFault(str(error))


def _of_a_part(
    templates: Templates, type: NotificationType, lang: str, name: str, flat: Flat
) -> Iterator[TemplateFault]:
    files = templates.files
    for one in unknown_in(files, name, flat, known(type)):
        yield TemplateFault(one.said, one.name, one.file)
    if name.endswith(".mjml"):
        page = html_of(files, flat)
        for element in sorted(set(_ELEMENT.findall(HTML_COMMENT.sub("", page)))):
            said = f"unknown MJML element {element}; it would be sent unchanged"
            for where in _places_of(files, flat, element):
                yield TemplateFault(f"{where}: {said}")
    else:
        tree = syntax(files, name, flat, templates.translation(lang))
        yield from map(TemplateFault, _of_its_text(files.display(flat.files[0]), tree, type))


def _places_of(files: TemplateFiles, flat: Flat, element: str) -> list[str]:
    """The first place of the element in each file that has it; the part if a value makes the element."""
    first: dict[str, str] = {}
    for line in lines_of(element, flat.text):
        first.setdefault(flat.origin(line)[0], place(files, flat, line))
    return [*first.values()] or [files.display(flat.files[0])]


def _of_its_text(where: str, tree: nodes.Template, type: NotificationType) -> Iterator[str]:
    """The faults of a text part: a message needs it and it is empty, or it is a subject of several lines."""
    part, written = where.rpartition("/")[2], extents(tree)
    if written == frozenset({Extent.NOTHING}) and _needed(part, type):
        yield f"{where}: empty; write the {_KINDS_OF_TEXT[part]}"
    if part == "subject.txt" and Extent.SEVERAL in written:
        yield f"{where}: contains a line break or another control character; put it on one line"


_KINDS_OF_TEXT = {
    "subject.txt": "subject",
    "body.txt": "plain part of the mail",
    "short.txt": "short message",
}


def _needed(part: str, type: NotificationType) -> bool:
    """Whether a message of the type has this part: a mail has no short text, and only a mail has a body."""
    kinds = set(type.kinds_of(None))
    return {"body.txt": "email" in kinds, "short.txt": bool(kinds - {"email"})}.get(part, True)


def hidden(type: NotificationType) -> list[str]:
    """A clause for each fact and minted value that no template sees, because another value has its name."""
    if type.finished is not None:
        return []  # its mails use no template
    facts = {f"the fact {name}": name for name in fact_names(type)}
    minted = {f"the minted {name}": name for name in type.minted}
    taken = [what for what, name in (facts | minted).items() if name in IN_EVERY_TEMPLATE]
    twice = [what for what, name in facts.items() if name in type.minted]
    return [
        *(f"{what} of {type.name} is hidden: {_OF_ALL}" for what in taken),
        *(f"{what} of {type.name} is hidden: {_OF_MINT}" for what in twice),
    ]


_OF_ALL = "every template has a value of that name; rename it"
_OF_MINT = "the type mints a value of that name; rename one of them"
