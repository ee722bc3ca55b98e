"""Bounds of what an expression of a template makes: one digit too many must not freeze a worker.

Python makes a value as a whole, however large, and nothing can stop it meanwhile. So sizes are looked at
before; they may be guessed too large, never too small.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from itertools import islice
from types import BuiltinMethodType, MethodType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, optimizeconst
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.nodes import EvalContext

from waypost.rendering.template_files import TemplateError

LARGEST = 2_000_000  # characters; more than any mail should be, less than a runaway loop makes
MOST_REPEATED = 100_000  # characters, items or columns that one number makes
MOST_BITS = 4_096  # of a whole number, which has some 1,200 digits then
AT_A_TIME = 400  # pieces of a text, looked at together
AT_ONCE = 8  # texts that one `~` joins

_NUMBER = f"it makes a number of more than {MOST_BITS * 3 // 10:,} digits; write a smaller one"
WIDE = f"it makes more than {MOST_REPEATED:,} characters or items; write a smaller number"
_LONG = f"it makes a text of more than {LARGEST:,} characters; a message is shorter"


class TooLarge(TemplateError):
    """An expression makes too much. word: the operator, filter or method that does. line: of the text that
    was compiled, if it is known."""

    def __init__(self, word: str, said: str, line: int = 0) -> None:
        super().__init__(f"{word} is refused: {said}")
        self.word, self.line = word, line


def bounded(sign: str, left: Any, right: Any) -> Any:
    """What the operator makes of both sides. Raises TooLarge before it does."""
    if said := _CHECKS[sign](left, right):
        raise TooLarge(sign, said)
    return OPERATORS[sign](left, right)


_PYTHONS: Any = operator
OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _PYTHONS.add,
    "*": _PYTHONS.mul,
    "**": _PYTHONS.pow,
    "%": _PYTHONS.mod,
}


def _power(left: Any, right: Any) -> str:
    whole = isinstance(left, int) and isinstance(right, int)
    return _NUMBER if whole and abs(left) > 1 and left.bit_length() * right > MOST_BITS else ""


def _times(left: Any, right: Any) -> str:
    if isinstance(left, int) and isinstance(right, int):
        return _NUMBER if left.bit_length() + right.bit_length() > MOST_BITS else ""
    size, number = (_length(right), left) if isinstance(left, int) else (_length(left), right)
    return WIDE if isinstance(number, int) and size * number > MOST_REPEATED else ""


def _plus(left: Any, right: Any) -> str:
    size = _length(left) + _length(right)
    if isinstance(left, str):
        return _LONG if size > LARGEST else ""
    return WIDE if size > MOST_REPEATED else ""


_WIDTHS = re.compile(r"%(?:\([^)]*\))?[#0 +-]*(\*|\d*)(?:\.(\*|\d*))?")


def _percent(left: Any, right: Any) -> str:
    if not isinstance(left, str):
        return ""
    return _formatted(_WIDTHS.findall(left), len(left), _arguments(right))


def _arguments(right: Any) -> list[Any]:
    """The values that `%` puts into a text."""
    if isinstance(right, dict):
        return _values(right)  # pyright: ignore[reportUnknownArgumentType]
    return [*right] if isinstance(right, tuple) else [right]  # pyright: ignore[reportUnknownVariableType]


def _formatted(fields: list[Any], least: int, given: list[Any]) -> str:
    """Whether fields of these widths are too large together. A width that is an argument is any of them."""
    numbers = [one for one in given if isinstance(one, int)]
    widths = [_width(one, numbers) for field in fields for one in field]
    if sum(widths) > MOST_REPEATED:
        return WIDE
    longest = max((len(one) for one in given if isinstance(one, str)), default=0)
    return _LONG if least + longest * len(fields) > LARGEST else ""


def _width(written: str, numbers: list[int]) -> int:
    if written.isdecimal():
        return int(written[:9])  # more digits are too many anyway
    return max([0, *numbers]) if written else 0


_CHECKS: Mapping[str, Callable[[Any, Any], str]] = {
    "+": _plus,
    "*": _times,
    "**": _power,
    "%": _percent,
}


def _length(of: Any) -> int:
    sized: Any = of
    return len(sized) if isinstance(of, _SIZED) else 0


_SIZED = (str, bytes, list, tuple, dict)  # a tuple is looked at faster than a union


def joined(text: str) -> str:
    """What `~` has made of a few texts. Raises TooLarge, so that the next one does not double it."""
    if len(text) > LARGEST:
        raise TooLarge("~", _LONG)
    return text


def concat(chunks: Iterable[str]) -> str:
    """The whole text of a template, macro or block. Raises TemplateError before it is too large to hold."""
    made: list[str] = []
    size, rest = 0, iter(chunks)
    while some := [*islice(rest, AT_A_TIME)]:
        made.append("".join(some))  # half the time of a sum of their lengths
        size += len(made[-1])
        if size > LARGEST:
            raise TemplateError(f"it makes more than {LARGEST:,} characters; a message is shorter")
    return made[0] if len(made) == 1 else "".join(made)


class BoundedCode(CodeGenerator):
    """Jinja lets an environment intercept each operator but `~`."""

    @optimizeconst
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's visitor calls it
        self.write("environment.joined(")
        super().visit_Concat(_in_groups(node), frame)
        self.write(")")


def _in_groups(node: nodes.Concat) -> nodes.Concat:
    """`node` with a few texts at most, each of which is joined before: many long ones are never held."""
    texts = node.nodes
    while len(texts) > AT_ONCE:
        groups = [texts[at : at + AT_ONCE] for at in range(0, len(texts), AT_ONCE)]
        texts = [nodes.Concat(group, lineno=node.lineno, environment=node.environment) for group in groups]
    return (
        node if texts is node.nodes else nodes.Concat(texts, lineno=node.lineno, environment=node.environment)
    )


_FIELD = re.compile(r"\{[^{}:]*:?([^{}]*)")
_NESTED = re.compile(r"\{[^{}]*:[^{}]*\{")
_NESTED_SAID = "a width in braces within braces may be any; write it as a number"


METHODS = (MethodType, BuiltinMethodType)


def method(value: Any, made: Any) -> Any:
    """`made` with a bound, if the method `value` is of a text, and can make a long one of a short one. made:
    the method as the sandbox has it."""
    said = _METHODS.get(value.__name__)
    text = value.__self__
    if said is None or not isinstance(text, str):
        return made

    @wraps(value)
    def guarded(*given: Any, **named: Any) -> Any:
        if why := said(text, [*given, *named.values()]):
            raise TooLarge(value.__name__, why)
        return made(*given, **named)

    return guarded


def _padded(text: Any, given: list[Any]) -> str:
    tabs = 1 + str(text).count("\t")
    numbers = [one for one in given if isinstance(one, int)]
    return WIDE if max(numbers, default=0) * tabs > MOST_REPEATED else ""


def _replaced(text: Any, given: list[Any]) -> str:
    old, new = (*map(str, given[:2]), "", "")[:2]
    text = str(text)
    return _LONG if len(text) + text.count(old) * len(new) > LARGEST else ""


def _put_between(text: str, given: list[Any]) -> str:
    items: list[Any] = [one for one in given if isinstance(one, str | list | tuple)]
    sizes = (len(text) + _length(one) for item in items for one in item)
    return _LONG if sum(sizes) > LARGEST else ""


def _in_braces(text: str, given: list[Any]) -> str:
    inner = [value for one in given if isinstance(one, dict) for value in _values(one)]  # pyright: ignore
    fields = [re.findall(r"\d+", spec) for spec in _FIELD.findall(text)]
    return _NESTED_SAID if _NESTED.search(text) else _formatted(fields, len(text), [*given, *inner])


def _values(of: dict[Any, Any]) -> list[Any]:
    return [*of.values()]


_METHODS: Mapping[str, Callable[[str, list[Any]], str]] = {
    **dict.fromkeys(("ljust", "rjust", "center", "zfill", "expandtabs"), _padded),
    "replace": _replaced,
    "join": _put_between,
    "format": _in_braces,
    "format_map": _in_braces,
}


def _with_bound(
    name: str, made: Callable[..., Any], said: Callable[[Any, list[Any]], str], skipped: int
) -> Any:
    """The filter `made`, bounded. skipped: how many arguments Jinja gives it before the value."""

    @wraps(made)
    def guarded(*given: Any, **named: Any) -> Any:
        text, *others = given[skipped:] or (None,)
        if why := said(text, [*others, *named.values()]):
            raise TooLarge(name, why)
        return made(*given, **named)

    return guarded


def _join(made: Callable[..., Any]) -> Any:
    @wraps(made)
    def guarded(eval_ctx: EvalContext, value: Any, d: str = "", attribute: str | int | None = None) -> Any:
        items = [*value]
        if attribute is not None:
            items = [*map(make_attrgetter(eval_ctx.environment, attribute), items)]
        if len(items) * _length(d) + sum(len(one) for one in items if isinstance(one, str)) > LARGEST:
            raise TooLarge("join", _LONG)
        return made(eval_ctx, items, d)

    return guarded


def check_breaks(text: str, wrapstring: object) -> None:
    """Raise TooLarge if a text between the lines of another makes a text that is too long."""
    breaks = len(wrapstring) if isinstance(wrapstring, str) else 1
    if len(text) * breaks > AT_ONCE * LARGEST:
        raise TooLarge("wordwrap", _LONG)


def _indented(text: Any, given: list[Any]) -> str:
    by = max(
        [len(one) if isinstance(one, str) else one for one in given if isinstance(one, str | int)] or [4]
    )
    lines = 1 + (text.count("\n") if isinstance(text, str) else 0)
    return WIDE if by * lines > MOST_REPEATED * AT_ONCE or by > MOST_REPEATED else ""


def filters_with_bounds(others: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The filters, Jinja's and `others`, that make much of a large number or of long texts, bounded."""
    known: dict[str, Any] = {**FILTERS, **others}
    bounds: Mapping[str, tuple[Callable[[Any, list[Any]], str], int]] = {
        "batch": (_padded, 0),
        "center": (_padded, 0),
        "format": (_percent_given, 0),
        "indent": (_indented, 0),
        "replace": (_replaced, 1),
        "round": (_over(300), 0),  # a float has some 300 digits
        "slice": (_padded, 1),
        "tojson": (_over(100), 1),
    }
    made = {name: _with_bound(name, known[name], said, skip) for name, (said, skip) in bounds.items()}
    return {**made, "join": _join(known["join"])}


def _percent_given(text: Any, given: list[Any]) -> str:
    return _percent(str(text), tuple(given))


def _over(most: int) -> Callable[[Any, list[Any]], str]:
    """Whether a number is more than `most`."""
    said = f"a number of it is more than {most:,}; write a smaller one"
    return lambda value, given: said if any(isinstance(one, int) and one > most for one in given) else ""


def words_of(tree: nodes.Template, word: str) -> list[int]:
    """The lines of each use of an operator, filter or method; of every expression if `word` is empty."""
    kinds = (nodes.Filter, nodes.BinExpr, nodes.Concat, nodes.Getattr)
    found = tree.find_all(kinds if word else nodes.Expr)
    return [node.lineno for node in found if not word or _word(node) == word]


def _word(node: nodes.Expr) -> str:
    match node:
        case nodes.Filter():
            return node.name
        case nodes.BinExpr():
            return node.operator
        case nodes.Getattr():
            return node.attr
        case _:
            return "~"


def with_bounds(environment: jinja2.Environment) -> None:
    """Bound Jinja's global that makes a text of any length."""
    few = _over(100)
    made: Any = environment.globals["lipsum"]
    environment.globals["lipsum"] = _with_bound("lipsum", made, lambda one, rest: few(one, [one, *rest]), 0)
