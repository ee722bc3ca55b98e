"""The Jinja environments that compile templates, and render them in a sandbox.

The sandbox guards code, not data, so a context holds plain values only.
"""

from __future__ import annotations

from typing import Any

import jinja2
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from waypost.rendering import bounds, filters


class _Sandbox(ImmutableSandboxedEnvironment):
    """Facts are dicts, so `line.total` is looked up as a key first. Jinja tries an attribute first, whose
    AttributeError costs more than the rest of an expression."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict:
            try:
                return obj[attribute]  # pyright: ignore[reportUnknownVariableType]
            except KeyError:
                pass
        return super().getattr(obj, attribute)

    intercepted_binops = frozenset(bounds.OPERATORS)
    code_generator_class = bounds.BoundedCode
    concat = staticmethod(bounds.concat)
    joined = staticmethod(bounds.joined)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return bounds.bounded(operator, left, right)

    def wrap_str_format(self, value: Any) -> Any:
        """Jinja calls this with each attribute of a value that is not a fact, a method of a text too."""
        if not isinstance(value, bounds.METHODS):
            return None
        made = super().wrap_str_format(value)
        found = value if made is None else made
        bound = bounds.method(value, found)
        return made if bound is found else bound


def _environment(*, autoescape: bool) -> jinja2.Environment:
    environment = _Sandbox(
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=not autoescape,
        lstrip_blocks=not autoescape,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.newstyle_gettext = True  # pyright: ignore[reportAttributeAccessIssue]
    made = {**filters.FILTERS, **bounds.filters_with_bounds(filters.FILTERS)}
    environment.filters.update(made)  # pyright: ignore[reportUnknownMemberType]
    bounds.with_bounds(environment)
    return environment


HTML, TEXT = _environment(autoescape=True), _environment(autoescape=False)


def environment_of(name: str) -> jinja2.Environment:
    """The environment of a part or file, by the ending of its name."""
    return HTML if name.endswith(".mjml") else TEXT
