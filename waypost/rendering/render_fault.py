"""Where a template failed and why, read from the error's traceback, so that only an error takes time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import unwrap
from traceback import walk_tb
from types import CodeType, FrameType
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError

from waypost.rendering.bounds import TooLarge
from waypost.rendering.filter_values import misused
from waypost.rendering.template_files import TemplateError

_WRONG_CALL = re.compile(r"\w+\(\) (missing|takes) ")  # Python's sentence about a call, which has no values


@dataclass(frozen=True, slots=True)
class RenderFault:
    """line: of the source that was compiled; 0 if it is unknown. word: the filter or operator that failed, if
    one did."""

    line: int
    word: str
    said: str


def fault_of(error: Exception, environment: jinja2.Environment) -> RenderFault:
    """The fault behind an error of `Template.render`."""
    line, called = _in_the_template(error)
    if isinstance(error, TooLarge):
        return RenderFault(line, error.word, str(error))
    filters = _filters(environment)
    for frame in called:
        if filter := filters.get(frame.f_code):
            own = isinstance(error, TemplateError)
            return RenderFault(line, filter, str(error) if own else misused(filter, _arguments(frame)))
    return RenderFault(line, "", _reason(error))


def _in_the_template(error: Exception) -> tuple[int, list[FrameType]]:
    """The line of the template's last frame, and the frames of the functions that it called."""
    line, called = 0, list[FrameType]()
    for frame, number in walk_tb(error.__traceback__):
        if "__jinja_exception__" in frame.f_globals:  # Jinja puts such a frame in place of each of a template
            line, called = number, []
        else:
            called.append(frame)
    return line, called


def _filters(environment: jinja2.Environment) -> Mapping[CodeType, str]:
    """The names of the filters by their code. Jinja wraps some of its own in a function that is the same."""
    named: Mapping[str, Any] = environment.filters  # pyright: ignore[reportUnknownMemberType]
    codes = {name: getattr(unwrap(made), "__code__", None) for name, made in named.items()}
    return {code: name for name, code in codes.items() if code is not None}


def _arguments(called: FrameType) -> list[object]:
    """The values that a template gave to a filter, without what Jinja gives."""
    code = called.f_code
    names = code.co_varnames[: code.co_argcount]
    return [called.f_locals[name] for name in names if name not in ("context", "environment", "eval_ctx")]


def _reason(error: Exception) -> str:
    if isinstance(error, TemplateError) or _WRONG_CALL.match(str(error)):
        return str(error)
    return in_words(error) or f"{type(error).__name__} while rendering"


def in_words(error: Exception) -> str:
    """What an error of Python's means in a template, and what to do; empty for one that is rare. Never with
    the error's own text, which can have values."""
    if isinstance(error, SecurityError):
        return _PRIVATE if _UNDERSCORE.search(str(error)) else _CHANGES
    return next((said for kind, said in _IN_WORDS.items() if isinstance(error, kind)), "")


_UNDERSCORE = re.compile(r"attribute '_")
_PRIVATE = "a template may not read attributes that begin with an underscore; leave it out"
_CHANGES = "a template may not change a fact or call this; make a value of its own with {% set %}"
_IN_WORDS: Mapping[type[Exception], str] = {
    RecursionError: "a macro calls itself without end; call it under a condition that ends",
    MemoryError: "it takes more memory than there is; make it shorter",
    ZeroDivisionError: "it divides by zero; look at the number first with {% if %}",
    OverflowError: "a number becomes too large; write a smaller one",
    TypeError: "an operator or a call has a value of the wrong kind; look at what kind each fact has",
    IndexError: "a text has more {} than values; leave one out",
}
