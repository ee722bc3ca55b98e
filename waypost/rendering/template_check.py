"""Checks a type's templates without sending: for unknown names, unknown MJML elements, and subjects and texts
that no message can use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError, meta, nodes

from waypost.model.notification_type import NotificationType
from waypost.rendering.catalogues import SOURCE_LANGUAGE, BrokenCatalogue, Key
from waypost.rendering.extent import Extent, extents
from waypost.rendering.layouts import Flat
from waypost.rendering.messages import IN_EVERY_TEMPLATE
from waypost.rendering.template_files import PARTS, TemplateError
from waypost.rendering.template_set import TEXT, environment_of, html_of, place, syntax
from waypost.rendering.templates import Templates, with_parents
from waypost.rendering.translating import FORM, FUNCTIONS, UntranslatableText, messages_in

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ELEMENT = re.compile(r"<(mj-[a-z-]+)")
ANY = "*"  # among the names: the type does not declare what it mints, so any name may be right
Known = Mapping[str, Collection[str] | None]  # names, with the attributes of those that have fixed ones
Uses = Mapping[str, tuple[int, str]]  # by name: the first line, and the nearest name


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
    if type.finished is not None:
        return faults  # its mails use no template
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
        f"{place(templates.files, flat, line)}: no translation into {lang}: {text!r}"
        for lang in templates.languages(type.name)
        if lang != SOURCE_LANGUAGE
        for flat, line, text in _untranslated_in(templates, type.name, lang)
    ]


def _untranslated_in(templates: Templates, type: str, lang: str) -> Iterator[tuple[Flat, int, str]]:
    with suppress(TemplateError, BrokenCatalogue, UntranslatableText, TemplateSyntaxError):
        for name, flat in templates.parts(type, lang).items():
            translation = templates.translation(lang)
            for text in _texts_in(name, flat.text):
                translation.find(*text)
            yield from ((flat, line, text) for (_, text), line in translation.missing.items())


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
            for unknown, (_, near) in _uses(TEXT.parse(source), known(type)).items():
                yield TemplateFault(_unknown(f"{field} of {type.name}", unknown, near), unknown)


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
        templates.find(type.name, first)
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
    tree = syntax(files, name, flat, templates.translation(lang))
    page = html_of(files, flat) if name.endswith(".mjml") else ""
    names = known(type) | ({"subject": None} if page else {})
    # In compiled MJML a value is set before it is used, though the layout's head stands before its body.
    uses = _uses(TEXT.parse(page) if page else tree, names)
    lines = {name: line for name, (line, _) in _uses(tree, names).items()} if page and uses else {}
    for unknown, (line, near) in uses.items():
        where = place(files, flat, lines.get(unknown, 0) if page else line)
        yield TemplateFault(_unknown(where, unknown, near), unknown, files.path(flat.origin(line)[0]))
    if page:
        for element in sorted(set(_ELEMENT.findall(_COMMENT.sub("", page)))):
            where = files.display(flat.files[0])
            yield TemplateFault(f"{where}: unknown MJML element {element}; it would be sent unchanged")
    else:
        yield from map(TemplateFault, _of_its_text(files.display(flat.files[0]), tree, type))


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
    facts = {f"the fact {name}": name for name in _fact_names(type)}
    minted = {f"the minted {name}": name for name in type.minted}
    taken = [what for what, name in (facts | minted).items() if name in IN_EVERY_TEMPLATE]
    twice = [what for what, name in facts.items() if name in type.minted]
    return [
        *(f"{what} of {type.name} is hidden: {_OF_ALL}" for what in taken),
        *(f"{what} of {type.name} is hidden: {_OF_MINT}" for what in twice),
    ]


_OF_ALL = "every template has a value of that name; rename it"
_OF_MINT = "the type mints a value of that name; rename one of them"


def known(type: NotificationType) -> dict[str, Collection[str] | None]:
    """The names that a template of the type may use."""
    unnamed = (ANY,) if type.mint and not type.minted else ()
    return {**dict.fromkeys((*_fact_names(type), *type.minted, *unnamed)), **IN_EVERY_TEMPLATE}


def _fact_names(type: NotificationType) -> tuple[str, ...]:
    return (*type.facts.model_fields, *type.facts.model_computed_fields)


def _unknown(where: str, name: str, near: str) -> str:
    return f"{where}: {{{{ {name} }}}} is unknown{f'; is it {near}?' if near else ''}"


def _uses(tree: Any, names: Known) -> Uses:
    """The unknown names in a template."""
    found: dict[str, tuple[int, str]] = {}
    if ANY not in names:
        unknown = meta.find_undeclared_variables(tree) - names.keys() - tree.environment.globals.keys()
        # Jinja counts a name as undeclared that a template sets in one branch and uses after it.
        given = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"} | FUNCTIONS.keys()
        unknown = {name for name in unknown - given if not name.startswith(FORM)}
        lines: dict[str, int] = {node.name: node.lineno for node in reversed([*tree.find_all(nodes.Name)])}
        found = {name: (lines[name], _nearest(name, names)) for name in sorted(unknown)}
    for node in tree.find_all(nodes.Getattr):
        owner: str = getattr(node.node, "name", "")
        attributes = names.get(owner)
        if attributes is not None and node.attr not in attributes:
            found.setdefault(f"{owner}.{node.attr}", (node.lineno, _nearest(node.attr, attributes)))
    return found


def _nearest(name: str, names: Iterable[str]) -> str:
    return next(iter(get_close_matches(name, [*names], 1)), "")
