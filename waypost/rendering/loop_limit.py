"""Ends a rendering whose loops and macros go on for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import nodes

from waypost.rendering.template_files import TemplateError

MOST_ROUNDS = 200_000  # of all loops and macros together; a digest of 1,000 items takes some thousands
ROUNDS = "_rounds"  # a name of ours in the context
_ONE = (None,)


class Rounds:
    """Counts the rounds of loops and the calls of macros; ends a rendering that goes on for ever."""

    def __init__(self) -> None:
        self._left = MOST_ROUNDS

    def __call__(self, items: Any) -> Iterator[Any] | Any:
        """The items, counted. Those with a length are counted at once, so a usual loop costs a call."""
        try:
            self._take(len(items))
            return items
        except TypeError:
            return self._each(items)

    def _each(self, items: Any) -> Iterator[Any]:
        for item in items:
            self._take(1)
            yield item

    def _take(self, rounds: int) -> None:
        self._left -= rounds
        if self._left < 0:
            raise TemplateError(f"its loops and macros take more than {MOST_ROUNDS:,} rounds")


def counted(tree: nodes.Template) -> nodes.Template:
    """`tree` with the rounds of its loops within loops counted: a loop of its own ends with its items. What
    can call itself, a macro and a recursive loop, is counted at each call and round."""
    nested = {id(inner) for loop in tree.find_all(nodes.For) for inner in loop.find_all(nodes.For)}
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            loop.body.insert(0, nodes.ExprStmt(_count(loop, nodes.Const(_ONE)), lineno=loop.lineno))
        elif id(loop) in nested:
            loop.iter = _count(loop, loop.iter)
    for macro in tree.find_all(nodes.Macro):
        macro.body.insert(0, nodes.ExprStmt(_count(macro, nodes.Const(_ONE)), lineno=macro.lineno))
    return tree


def _count(node: nodes.Node, items: nodes.Node) -> nodes.Call:
    counter = nodes.Name(ROUNDS, "load", lineno=node.lineno)
    call = nodes.Call(counter, [items], [], None, None, lineno=node.lineno)
    call.set_environment(node.environment)  # pyright: ignore
    return call
