"""Jinja's statements between MJML elements, wrapped so that the MJML compiler leaves them in place."""

from __future__ import annotations

import re

# Where MJML takes elements only (mjml.io/documentation): a statement there needs an <mj-raw> around it.
_ELEMENTS_ONLY = frozenset(
    {"mjml", "mj-head", "mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column", "mj-hero"}
)
# What is not closed goes to the end: looking for its end once for each beginning would cost their product.
_PARTS = re.compile(
    r"""<!--.*?(?:-->|\Z)|\{\#.*?(?:\#\}|\Z)|\{%.*?(?:%\}|\Z)|\{\{.*?(?:\}\}|\Z)"""
    r"""|<(?P<ends>/?)(?P<name>mj[a-z-]*)\b(?:"[^"]*"|'[^']*'|[^<>"'])*?(?P<empty>/?)>""",
    re.DOTALL,
)


def with_raw_statements(source: str) -> str:
    """`source` with its statements between elements in `<mj-raw>`, and without Jinja's comments. Its lines
    stay the same."""
    written: list[str] = []
    at, inside = 0, list[str]()
    for found in _PARTS.finditer(source):
        written.append(source[at : found.start()])
        at = found.end()
        written.append(_as_mjml(found, inside))
    return "".join([*written, source[at:]])


def _as_mjml(found: re.Match[str], inside: list[str]) -> str:
    """A tag, a comment or Jinja. inside: the elements that are open there; changed by a tag."""
    text, name = found[0], found["name"]
    if name:
        _open_or_close(found, name, inside)
        return text
    if text.startswith("{#"):
        return "\n" * text.count("\n")
    if text.startswith("{%") and inside and inside[-1] in _ELEMENTS_ONLY:
        return f"<mj-raw>{text}</mj-raw>"
    return text


def _open_or_close(found: re.Match[str], name: str, inside: list[str]) -> None:
    if found["empty"]:
        return
    if not found["ends"]:
        inside.append(name)
    elif name in inside:
        while inside.pop() != name:
            pass
