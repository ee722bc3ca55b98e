"""Checks a type's templates without sending: for unknown names and unknown MJML elements."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from jinja2 import meta, nodes

from waypost.model.notification_type import NotificationType
from waypost.rendering.messages import IN_EVERY_TEMPLATE
from waypost.rendering.templates import PARTS, TemplateError, Templates

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ELEMENT = re.compile(r"<(mj-[a-z-]+)")
ANY = "*"  # among the names: the type does not declare what it mints, so any name may be right
Known = Mapping[str, Collection[str] | None]  # names, with the attributes of those that have fixed ones
Uses = Mapping[str, tuple[int, str]]  # by name: the first line, 0 for an included file, and the nearest name


def examine(templates: Templates, type: NotificationType) -> list[str]:
    """A sentence for each fault, with its file; empty without faults."""
    faults = [*_of_the_declaration(templates, type)]
    if type.finished is not None:
        return faults  # its mails use no template
    languages = templates.languages(type.name)
    if not languages:
        missing = f"templates/{type.name}/"
        faults.append(f"{missing} is missing: add {missing}en/ with {', '.join(PARTS)}")
    for lang in languages:
        faults += _of_a_language(templates, type, lang)
    return faults


def _of_the_declaration(templates: Templates, type: NotificationType) -> Iterator[str]:
    for field in ("reply_to", "list_unsubscribe"):
        source: str = getattr(type, field)
        try:
            templates.line(source)
        except TemplateError as error:
            yield f"{field} of {type.name}: {error}"
        else:
            yield from _unknown(f"{field} of {type.name}", _uses(templates, source, known(type)))


def _of_a_language(templates: Templates, type: NotificationType, lang: str) -> Iterator[str]:
    try:
        templates.find(type.name, lang)
        for name in PARTS:
            where = f"templates/{type.name}/{lang}/{name}"
            written, compiled = templates.sources(type.name, lang, name)
            names = known(type) | ({"subject": None} if name.endswith(".mjml") else {})
            here, found = _uses(templates, written, names), _uses(templates, compiled, names)
            yield from _unknown(where, {name: here.get(name, (0, near)) for name, (_, near) in found.items()})
            for element in sorted(set(_ELEMENT.findall(_COMMENT.sub("", compiled)))):
                yield f"{where}: there is no MJML element {element}; it would be sent as it stands"
    except TemplateError as error:
        yield str(error)


def known(type: NotificationType) -> dict[str, Collection[str] | None]:
    """The names that a template of the type may use."""
    facts = (*type.facts.model_fields, *type.facts.model_computed_fields)
    unnamed = (ANY,) if type.mint and not type.minted else ()
    return {**dict.fromkeys((*facts, *type.minted, *unnamed)), **IN_EVERY_TEMPLATE, "lang": None}


def _unknown(where: str, uses: Uses) -> Iterator[str]:
    for name, (line, near) in uses.items():
        at = f", line {line}" if line else ", in what it includes"
        yield f"{where}{at}: {{{{ {name} }}}} is unknown{f'; is it {near}?' if near else ''}"


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
