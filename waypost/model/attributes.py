"""Attributes of a recipient: names and values of the application's own, which templates can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, cast

import orjson
from pydantic import AfterValidator, WithJsonSchema

MOST_NAMES = 50
MOST_BYTES = 8 * 1024  # as JSON
LONGEST = 1000  # characters of a text
MOST_ITEMS = 100  # of a list or object
DEEPEST = 3  # levels: a value, those in it, and those in them

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"  # so that templates can read `recipient.attributes.NAME`
_NAME = re.compile(NAME_PATTERN.removesuffix("$") + r"\Z")
_TEXT_PATTERN = r"^[^\x00\ud800-\udfff]*$"
MOST_NUMBER = 2**63 - 1

Attributes = Mapping[str, Any]


class TooMany(ValueError):
    """A recipient would have too many attributes. Says so without any value."""


def is_name(text: str) -> bool:
    """Whether an attribute may have that name."""
    return bool(_NAME.match(text))


def checked(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value`. None stands for an attribute that is removed. Raises ValueError without any value in it."""
    if not all(map(is_name, value)):
        raise ValueError(f"a name does not match {NAME_PATTERN}")
    if len(value) > MOST_NAMES:
        raise ValueError(f"more than {MOST_NAMES} names")
    for name, one in value.items():
        if wrong := _wrong(one, DEEPEST):
            raise ValueError(f"{name}: {wrong}")
    if len(orjson.dumps(value)) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes as JSON")
    return dict(value)


def _wrong(value: Any, levels: int) -> str:
    """Why `value` cannot be kept; empty if it can. levels: how many it may have."""
    match value:
        case None | bool():
            return ""
        case str():
            return _wrong_text(value)
        case int() | float():
            return "" if abs(value) <= MOST_NUMBER else "a number is outside of 64 bits"  # NaN is too
        case list() | dict() if levels == 1:
            return f"lists and objects are nested more than {DEEPEST - 1} levels deep"
        case list():
            return _wrong_parts(cast("list[Any]", value), levels)
        case dict():
            parts = cast("dict[Any, Any]", value)
            if not all(isinstance(name, str) and is_name(name) for name in parts):
                return f"a name in an object does not match {NAME_PATTERN}"
            return _wrong_parts(list(parts.values()), levels)
        case _:
            return "not a text, number, true, false, null, list or object"


def _wrong_text(text: str) -> str:
    if len(text) > LONGEST:
        return f"a text has more than {LONGEST:,} characters"
    if "\0" in text:
        return "a text contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text contains half of a surrogate pair"
    return ""


def _wrong_parts(parts: list[Any], levels: int) -> str:
    if len(parts) > MOST_ITEMS:
        return f"a list or object has more than {MOST_ITEMS} items"
    return next((wrong for one in parts if (wrong := _wrong(one, levels - 1))), "")


def merged(old: Attributes | None, new: Attributes | None) -> dict[str, Any]:
    """`old` with the attributes of `new`, by name; None removes one, or all. Raises TooMany."""
    if new is None:
        return {}
    try:
        return checked(without_removed({**(old or {}), **new}))
    except ValueError as error:
        raise TooMany(f"attributes: with those that are known, {error}") from None


def without_removed(value: Attributes | None) -> dict[str, Any]:
    """The attributes that have a value."""
    return {name: one for name, one in (value or {}).items() if one is not None}


def _schema_of_value(levels: int) -> dict[str, Any]:
    simple: list[dict[str, Any]] = [
        {"type": "string", "maxLength": LONGEST, "pattern": _TEXT_PATTERN},
        {"type": "number", "minimum": -MOST_NUMBER, "maximum": MOST_NUMBER},
        {"type": "boolean"},
        {"type": "null"},
    ]
    if levels == 1:
        return {"anyOf": simple}
    inner = _schema_of_value(levels - 1)
    return {
        "anyOf": [
            *simple,
            {"type": "array", "maxItems": MOST_ITEMS, "items": inner},
            {
                "type": "object",
                "maxProperties": MOST_ITEMS,
                "propertyNames": {"pattern": NAME_PATTERN},
                "additionalProperties": inner,
            },
        ]
    }


SCHEMA: dict[str, Any] = {
    "type": "object",
    "maxProperties": MOST_NAMES,
    "propertyNames": {"pattern": NAME_PATTERN},
    "additionalProperties": _schema_of_value(DEEPEST),
}

CheckedAttributes = Annotated[dict[str, Any], AfterValidator(checked), WithJsonSchema(SCHEMA)]
