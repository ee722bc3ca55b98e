"""Translations, put in place when a template is loaded: a rendered mail looks up none.

`{% trans %}`, `_()`, `ngettext()` and their kin become the texts of one language, with their variables
between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from waypost.rendering.catalogues import Catalogue, Key, english

# The functions, and whether their arguments are a context, a plural and a number, in this order.
FUNCTIONS: Mapping[str, tuple[bool, bool]] = {
    "_": (False, False),
    "gettext": (False, False),
    "ngettext": (False, True),
    "pgettext": (True, False),
    "npgettext": (True, True),
}
_VARIABLE = re.compile(r"%\((\w+)\)s|%%")
FORM = "_plural_form"  # a name of ours among the globals, with the catalogue's place behind it


class UntranslatableText(ValueError):
    """A text cannot be translated when the template is loaded. Says why; `line` says where."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


Question = tuple[Key, Sequence[str], int]  # a text's key, its forms in the template, its line
Answer = tuple[Sequence[str], str]  # the forms to show, the name of the rule that chooses among them


@dataclass(slots=True)
class Translation:
    """The catalogues of a language, the nearest first, and what they told. used: by key, the forms taken.
    missing: the texts that the first catalogues do not have. asked: every question, with its answer."""

    catalogues: Sequence[Catalogue] = ()
    used: dict[Key, Sequence[str]] = field(default_factory=dict[Key, Sequence[str]])
    missing: dict[Key, int] = field(default_factory=dict[Key, int])  # with the line
    asked: list[tuple[Question, Answer]] = field(default_factory=list[tuple["Question", "Answer"]])

    def find(self, key: Key, source: Sequence[str], line: int) -> Answer:
        """The forms of a text, and the name of the rule by which one is chosen."""
        answer = self._find(key, source, line)
        self.asked.append(((key, source, line), answer))
        return answer

    def _find(self, key: Key, source: Sequence[str], line: int) -> Answer:
        for number, catalogue in enumerate(self.catalogues):
            if forms := catalogue.texts.get(key):
                self.used[key] = forms
                return forms, f"{FORM}{number}"
        if self.catalogues:
            self.missing.setdefault(key, line)
        return source, FORM

    def place(self, key: Key) -> str:
        """Where the translation of a text stands, to begin a sentence with; empty for the template itself."""
        found = next((one.places.get(key, "") for one in self.catalogues if key in one.texts), "")
        return f"{found}: the translation of {key[1][:60]!r}: " if found else ""

    def globals(self) -> dict[str, Any]:
        """The plural rules, for the globals of a template."""
        return {FORM: english, **{f"{FORM}{number}": one.form for number, one in enumerate(self.catalogues)}}


def translate(tree: nodes.Template, translation: Translation) -> nodes.Template:
    """`tree` in a language. Raises UntranslatableText for a text that is not written in the template, and for
    a translation with a variable that the template does not have."""
    html = bool(tree.environment and tree.environment.autoescape)
    _Translator(translation, {} if html else _PLAIN).visit(tree)
    return tree


def messages_in(tree: nodes.Template) -> Iterator[tuple[Key, Sequence[str], int]]:
    """Every text of the template: key, source forms, line."""
    for call in tree.find_all(nodes.Call):
        if (found := _message_of(call)) is not None:
            yield found


def numbers_in(tree: nodes.Template) -> dict[Key, frozenset[str]]:
    """Of each plural text of the template, the variables that are its number."""
    numbers: dict[Key, frozenset[str]] = {}
    for call in tree.find_all(nodes.Call):
        found = _message_of(call)
        if found is not None and len(found[1]) > 1:
            names = {"num", *(one.key for one in call.kwargs if one.value == call.args[-1])}
            numbers[found[0]] = numbers.get(found[0], frozenset()) | names
    return numbers


# A soft hyphen would be a letter too many in a column of plain text, and U+2011 is missing in many fonts.
_PLAIN = {0xAD: None, 0x2011: "-"}


class _Translator(NodeTransformer):
    def __init__(self, translation: Translation, letters: Mapping[int, str | None]) -> None:
        """letters: those that are replaced in a text."""
        self._translation = translation
        self._letters = letters

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802 - so Jinja's visitor calls them
        self.generic_visit(node)
        node.nodes = [part for child in node.nodes for part in _parts(child)]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        found = _message_of(node)
        if found is None:
            return node
        key, source, line = found
        forms, rule = self._translation.find(key, source, line)
        forms = [form.translate(self._letters) for form in forms]
        values = {one.key: one.value for one in node.kwargs}
        if len(source) > 1:
            values.setdefault("num", node.args[-1])
        try:
            filled = [_filled(form, values, line) for form in forms]
        except UntranslatableText as error:
            raise UntranslatableText(f"{self._translation.place(key)}{error}", line) from None
        return filled[0] if len(source) == 1 else _chosen(filled, rule, node.args[-1], line)


def _message_of(call: nodes.Call) -> tuple[Key, Sequence[str], int] | None:
    """The text that a call translates; None for another call."""
    name = call.node.name if isinstance(call.node, nodes.Name) else ""
    if name not in FUNCTIONS:
        return None
    with_context, with_plural = FUNCTIONS[name]
    texts = [one.value if isinstance(one, nodes.Const) else None for one in call.args]
    wanted = 1 + with_context + with_plural
    literal = [text for text in texts[:wanted] if isinstance(text, str)]
    if len(literal) < wanted or len(call.args) != wanted + with_plural:
        raise UntranslatableText(f"{name}() needs texts in quotes, and no variable for them", call.lineno)
    context = literal.pop(0) if with_context else ""
    return (context, literal[0]), tuple(literal), call.lineno


def _filled(text: str, values: Mapping[str, nodes.Expr], line: int) -> nodes.Expr:
    """The text with its variables between: one text, or several parts joined."""
    parts: list[nodes.Expr] = []
    at = 0
    for found in _VARIABLE.finditer(text):
        data = text[at : found.start()] + ("%" if found[0] == "%%" else "")
        at = found.end()
        if data:
            parts.append(nodes.TemplateData(data, lineno=line))
        if found[1]:
            if found[1] not in values:
                raise UntranslatableText(f"%({found[1]})s is no variable of this text: {text[:60]}", line)
            parts.append(values[found[1]])
    if text[at:] or not parts:
        parts.append(nodes.TemplateData(text[at:], lineno=line))
    return parts[0] if len(parts) == 1 else nodes.Concat(parts, lineno=line)


def _chosen(forms: Sequence[nodes.Expr], rule: str, amount: nodes.Expr, line: int) -> nodes.Expr:
    """The form for an amount."""
    chosen = forms[-1]
    for number, form in reversed([*enumerate(forms[:-1])]):
        index = nodes.Call(nodes.Name(rule, "load", lineno=line), [amount], [], None, None, lineno=line)
        is_it = nodes.Compare(index, [nodes.Operand("eq", nodes.Const(number, lineno=line))], lineno=line)
        chosen = nodes.CondExpr(is_it, form, chosen, lineno=line)
    return chosen


def _parts(node: nodes.Expr) -> Sequence[nodes.Expr]:
    """The parts of a text that stands alone: written separately, they cost nothing."""
    return node.nodes if isinstance(node, nodes.Concat) and _has_data(node) else (node,)


def _has_data(node: nodes.Concat) -> bool:
    return any(isinstance(one, nodes.TemplateData) for one in node.nodes)
