"""Constant folding: inlines the texts that a template sets once, when the template is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeGuard

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from waypost.rendering.bounds import LARGEST, TooLarge, bounded


def put_in_place(tree: nodes.Template, known: Mapping[str, str] | None = None) -> nodes.Template:
    """`tree` with each text inlined that its top level sets, and that nothing sets again. known: values that
    are the same for every recipient.

    `{% set muted = "#5b666a" %}` is used thirty times in a mail, and so are the words of its language.
    Looking up and escaping each of them for every recipient takes a third of the rendering time.
    """
    times = Counter(name.name for name in tree.find_all(nodes.Name) if name.ctx != "load")
    place = _Place()
    for name, value in (known or {}).items():
        if not times[name]:
            place.learn(name, nodes.Const(value))
    body: list[nodes.Node] = []
    for node in tree.body:
        place.visit(node)
        if isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
            name = node.target.name
            if times[name] == 1 and place.learn(name, _constant(node.node)):
                continue  # nothing looks it up any more
        body.append(node)
    tree.body = body
    return tree


def _constant(value: nodes.Node) -> nodes.Node:
    """The value of an expression that has the same for every recipient; else the expression."""
    try:
        found = value.as_const() if isinstance(value, nodes.Expr) else None
    except Exception:  # Impossible, and whatever the expression itself raises
        return value
    return nodes.Const(found, lineno=value.lineno) if isinstance(found, str) else value


_DOUBLED = f"its fixed texts are more than {LARGEST:,} characters together; a message is shorter"


class _Place(NodeTransformer):
    def __init__(self) -> None:
        self._texts: dict[str | tuple[str, str], nodes.Expr] = {}
        self._inlined = 0  # characters; texts that double each other would be without end

    def learn(self, name: str, value: nodes.Node) -> bool:
        """Replace `name` by `value` from the next node on, if `value` is a text or a dict with texts. Returns
        whether every use is replaced."""
        if _is_text(value):
            self._texts[name] = value
            return True
        if isinstance(value, nodes.Dict):
            keys = Counter(_text_of(pair.key) for pair in value.items)
            for pair in value.items:
                key = _text_of(pair.key)
                if key is not None and _is_text(pair.value) and keys[key] == 1:
                    self._texts[name, key] = pair.value
        return False

    def visit_Name(self, node: nodes.Name) -> nodes.Expr:  # noqa: N802 - so Jinja's visitor calls them
        return self._text(node, node.name) if node.ctx == "load" else node

    def visit_Getattr(self, node: nodes.Getattr) -> Any:  # noqa: N802
        if isinstance(node.node, nodes.Name):
            return self._text(node, (node.node.name, node.attr))
        return self.generic_visit(node)

    def visit_Add(self, node: nodes.BinExpr) -> nodes.Expr:  # noqa: N802
        """Jinja folds no operator that has a bound. Raises TooLarge with the line."""
        self.generic_visit(node)
        left, right = node.left, node.right
        if not (isinstance(left, nodes.Const) and isinstance(right, nodes.Const)):
            return node
        try:
            made = bounded(node.operator, left.value, right.value)
            self._count(node.operator, made, node.lineno)
            return nodes.Const(made, lineno=node.lineno)
        except TooLarge as error:
            error.line = node.lineno
            raise
        except Exception:  # the expression fails when it is rendered, if it is
            return node

    visit_Mul = visit_Pow = visit_Mod = visit_Add  # noqa: N815

    def _text(self, node: nodes.Expr, key: str | tuple[str, str]) -> nodes.Expr:
        found = self._texts.get(key)
        if found is None:
            return node
        self._count(key if isinstance(key, str) else ".".join(key), _text_of(found), node.lineno)
        return found

    def _count(self, word: str, made: Any, line: int) -> None:
        self._inlined += len(made) if isinstance(made, str) else 0
        if self._inlined > LARGEST:
            raise TooLarge(word, _DOUBLED, line)


def _is_text(value: nodes.Node) -> TypeGuard[nodes.Expr]:
    """Whether it is a text: of an expression, or a translation (which is HTML in HTML)."""
    return _text_of(value) is not None or isinstance(value, nodes.TemplateData)


def _text_of(value: nodes.Node) -> str | None:
    return value.value if isinstance(value, nodes.Const) and isinstance(value.value, str) else None
