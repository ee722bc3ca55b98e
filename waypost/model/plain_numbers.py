"""Numbers as JSON writes them. pydantic alone also accepts true for 1, and `"1_000"` for a thousand."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

_NUMBERS = {"int": "int_parsing", "float": "float_parsing", "decimal": "decimal_parsing"}
LARGEST = 2**63 - 1
_NO_INPUT = {"metadata", "cls", "config", "computed_fields", "serialization"}


class PlainNumbers:
    """In a field's annotation, or as a base of a model: its numbers are JSON numbers, or texts of digits."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _checked(handler(source))


def _checked(schema: Any) -> Any:
    """`schema` with a check before each number in it."""
    if isinstance(schema, list):
        return [_checked(one) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict) or _is_checked(cast("dict[str, Any]", schema)):
        return cast(Any, schema)
    fields = cast("dict[str, Any]", schema)
    made = {name: one if name in _NO_INPUT else _checked(one) for name, one in fields.items()}
    if made.get("type") == "int":
        made = _bounded(made)
    error = _NUMBERS.get(str(made.get("type")))
    if error is None:
        return made
    return core_schema.no_info_before_validator_function(partial(_plain, error), cast(CoreSchema, made))


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """Of 64 bits: Prefect and the ledger can read no larger integer."""
    least = {} if {"ge", "gt"} & schema.keys() else {"ge": -LARGEST - 1}
    most = {} if {"le", "lt"} & schema.keys() else {"le": LARGEST}
    return {**schema, **least, **most}


def _is_checked(schema: dict[str, Any]) -> bool:
    """Whether `schema` is of a nested model that already has its checks."""
    function = schema.get("function") if schema.get("type") == "function-before" else None
    return isinstance(function, dict) and getattr(cast(Any, function)["function"], "func", None) is _plain


def _plain(error: Any, value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        raise PydanticKnownError(error)
    return value
