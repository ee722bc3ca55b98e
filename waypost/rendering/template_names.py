"""The names that the templates of a type may use, and those that they use without having them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import meta, nodes

from waypost.model.notification_type import NotificationType
from waypost.rendering.layouts import Flat
from waypost.rendering.sandbox import TEXT
from waypost.rendering.syntax_fault import nearest
from waypost.rendering.template_files import TemplateFiles
from waypost.rendering.template_set import TemplateSet, html_of, place, syntax
from waypost.rendering.translating import FORM, FUNCTIONS, Translation

ANY = "*"  # among the names: the type does not declare what it mints, so any name may be right
Known = Mapping[str, Collection[str] | None]  # names, with the attributes of those that have fixed ones
Uses = Mapping[str, tuple[int, str]]  # by name: the first line, and the nearest name

# The names that hide a type's facts and minted values, with their attributes if they have any.
IN_EVERY_TEMPLATE: Known = {
    "count": None,
    "direction": None,  # `render` adds it, and `lang`
    "lang": None,
    "recipient": ("name", "locale", "timezone", "attributes"),
    "sender": ("name", "signature", "support"),
    "links": ("unsubscribe", "preferences", "confirm", "unsubscribe_by_mail"),
    "brand": ("name", "logo", "accent", "accent_dark", "postal_address", "footer"),
}


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that a template uses and the type does not have, as a sentence with its place. file: that of the
    template."""

    name: str
    said: str
    file: Path | None


def known(type: NotificationType) -> dict[str, Collection[str] | None]:
    """The names that a template of the type may use."""
    unnamed = (ANY,) if type.mint and not type.minted else ()
    return {**dict.fromkeys((*fact_names(type), *type.minted, *unnamed)), **IN_EVERY_TEMPLATE}


def fact_names(type: NotificationType) -> tuple[str, ...]:
    """The names of its facts, computed facts among them."""
    return (*type.facts.model_fields, *type.facts.model_computed_fields)


def unknown_in(files: TemplateFiles, part: str, flat: Flat, names: Known) -> Iterator[UnknownName]:
    """The unknown names of a part. Raises TemplateError."""
    tree = syntax(files, part, flat, Translation())
    page = html_of(files, flat) if part.endswith(".mjml") else ""
    names = {**names, "subject": None} if page else names
    # In compiled MJML a value is set before it is used, though the layout's head stands before its body.
    found = uses(TEXT.parse(page) if page else tree, names)
    lines = uses(tree, names) if page and found else found
    for name, (_, near) in found.items():
        line = lines[name][0] if name in lines else 0
        said = unknown(place(files, flat, line), name, near)
        yield UnknownName(name, said, files.path(flat.origin(line)[0]))


def unknown_in_set(found: TemplateSet, names: Known) -> Iterator[UnknownName]:
    """The unknown names of compiled templates."""
    for part in (found.subject, found.plain, found.html, found.short):
        yield from unknown_in(part.files, part.flat.files[0], part.flat, names)


def unknown(where: str, name: str, near: str) -> str:
    """The sentence about an unknown name."""
    return f"{where}: {{{{ {name} }}}} is unknown{f'; is it {near}?' if near else ''}"


def uses(tree: Any, names: Known) -> Uses:
    """The unknown names in a syntax tree."""
    found: dict[str, tuple[int, str]] = {}
    if ANY not in names:
        unknown = meta.find_undeclared_variables(tree) - names.keys() - tree.environment.globals.keys()
        # Jinja counts a name as undeclared that a template sets in one branch and uses after it.
        given = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"} | FUNCTIONS.keys()
        unknown = {name for name in unknown - given if not name.startswith(FORM)}
        lines: dict[str, int] = {node.name: node.lineno for node in reversed([*tree.find_all(nodes.Name)])}
        found = {name: (lines[name], nearest(name, names)) for name in sorted(unknown)}
    for node in tree.find_all(nodes.Getattr):
        owner: str = getattr(node.node, "name", "")
        attributes = names.get(owner)
        if attributes is not None and node.attr not in attributes:
            found.setdefault(f"{owner}.{node.attr}", (node.lineno, nearest(node.attr, attributes)))
    return found
