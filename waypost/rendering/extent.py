"""How much text a template may write, read from its syntax tree: nothing, one line, or several lines."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import reduce

from jinja2 import nodes

from waypost.mail.headers import CONTROL


class Extent(IntEnum):
    """What is written so far; white space at both ends does not count."""

    NOTHING = 0
    LINE = 1
    ENDED = 2  # a line and its line break
    SEVERAL = 3  # text on both sides of a line break, or another control character


Extents = frozenset[Extent]  # a template has branches, so it may write more than one


def extents(tree: nodes.Template) -> Extents:
    """What the template may write. An expression counts as text on one line."""
    return _all(tree.body, frozenset({Extent.NOTHING}))


def _all(nodes: Iterable[nodes.Node], before: Extents) -> Extents:
    return reduce(lambda reached, node: _after(node, reached), nodes, before)


def _after(node: nodes.Node, before: Extents) -> Extents:
    match node:
        case nodes.TemplateData():
            return frozenset(_written(node.data, one) for one in before)
        case nodes.Const():
            return frozenset(_written(str(node.value), one) for one in before)
        case nodes.Expr() | nodes.CallBlock():
            return frozenset(_written("x", one) for one in before)
        case nodes.Output():
            return _all(node.nodes, before)
        case nodes.If():
            branches = (node.body, *(other.body for other in node.elif_), node.else_)
            return frozenset[Extent]().union(*(_all(branch, before) for branch in branches))
        case nodes.For():
            return _repeated(node.body, before) | _all(node.else_, before)
        case nodes.With() | nodes.FilterBlock() | nodes.Block() | nodes.Scope():
            return _all(node.body, before)
        case _:
            return before  # a node that writes nothing, such as {% set %}


def _repeated(body: list[nodes.Node], before: Extents) -> Extents:
    """After any number of rounds."""
    reached = before
    while not (more := _all(body, reached)) <= reached:
        reached |= more
    return reached


def _written(text: str, before: Extent) -> Extent:
    reached = before
    for letter in text:
        if CONTROL.match(letter):
            reached = _broken(letter, reached)
        elif not letter.isspace():
            reached = Extent.SEVERAL if reached >= Extent.ENDED else Extent.LINE
    return reached


def _broken(letter: str, before: Extent) -> Extent:
    """After a control character, which may be a line break."""
    if not letter.isspace():
        return Extent.SEVERAL
    return Extent.ENDED if before is Extent.LINE else before
