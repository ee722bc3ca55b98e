"""Checks a type's templates without sending: for unknown names, unknown MJML elements, and subjects and texts
that no message can use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jinja2 import meta, nodes

from waypost.model.notification_type import NotificationType
from waypost.rendering.extent import Extent, extents
from waypost.rendering.messages import IN_EVERY_TEMPLATE
from waypost.rendering.templates import PARTS, TemplateError, Templates

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ELEMENT = re.compile(r"<(mj-[a-z-]+)")
ANY = "*"  # among the names: the type does not declare what it mints, so any name may be right
Known = Mapping[str, Collection[str] | None]  # names, with the attributes of those that have fixed ones
Uses = Mapping[str, tuple[int, str]]  # by name: the first line, 0 for an included file, and the nearest name


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
        faults.append(TemplateFault(f"{missing} is missing: add {missing}en/ with {', '.join(PARTS)}"))
    for lang in languages:
        faults += _of_a_language(templates, type, lang)
    return faults


def _of_the_declaration(templates: Templates, type: NotificationType) -> Iterator[TemplateFault]:
    for field in ("reply_to", "list_unsubscribe"):
        source: str = getattr(type, field)
        try:
            templates.line(source)
        except TemplateError as error:
            yield TemplateFault(f"{field} of {type.name}: {error}")
        else:
            yield from _unknown(f"{field} of {type.name}", _uses(templates, source, known(type)))


def _of_a_language(templates: Templates, type: NotificationType, lang: str) -> Iterator[TemplateFault]:
    try:
        templates.find(type.name, lang)
        for name in PARTS:
            where = templates.name(type.name, lang, name)
            written, compiled = templates.sources(type.name, lang, name)
            names = known(type) | ({"subject": None} if name.endswith(".mjml") else {})
            found = _uses(templates, compiled, names)
            here: Uses = _uses(templates, written, names) if found else {}  # the lines of the file itself
            uses = {name: here.get(name, (0, near)) for name, (_, near) in found.items()}
            yield from _unknown(where, uses, templates.path(type.name, lang, name))
            for element in sorted(set(_ELEMENT.findall(_COMMENT.sub("", compiled)))):
                yield TemplateFault(f"{where}: unknown MJML element {element}; it would be sent unchanged")
            if name.endswith(".txt"):
                yield from map(TemplateFault, _of_its_text(where, templates.syntax(written), type))
    except TemplateError as error:
        yield TemplateFault(str(error))


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


def _unknown(where: str, uses: Uses, file: Path | None = None) -> Iterator[TemplateFault]:
    for name, (line, near) in uses.items():
        at = f", line {line}" if line else ", in what it includes"
        said = f"{where}{at}: {{{{ {name} }}}} is unknown{f'; is it {near}?' if near else ''}"
        yield TemplateFault(said, name, file)


def _uses(templates: Templates, source: str, names: Known) -> Uses:
    """The unknown names in a template."""
    tree: Any = templates.syntax(source)
    found: dict[str, tuple[int, str]] = {}
    if ANY not in names:
        unknown = meta.find_undeclared_variables(tree) - names.keys() - tree.environment.globals.keys()
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
