"""Validation errors of sensitive facts: without the keys of their mappings, and without their values."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, cast

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)

from waypost.model.plain_numbers import PlainNumbers
from waypost.model.sensitive import has_sensitive, is_marked, models_in

_COVERED = "***"
_KEY = "[key]"  # pydantic's word for an error about a key itself
_NOT_VALID = "not valid"
_SENTENCES = ("value_error", "assertion_error")  # of a validator
# What a declaration says, by its name in the context of pydantic's errors.
_TERMS = frozenset(
    (
        *("min_length", "max_length", "actual_length", "field_type", "pattern", "class", "class_name"),
        *("expected", "expected_tags", "expected_schemes", "expected_version", "discriminator"),
        *("gt", "ge", "lt", "le", "multiple_of", "max_digits", "decimal_places", "whole_digits"),
    )
)


class SensitiveErrors(PlainNumbers):
    """A base of models: the errors of their sensitive fields name fields and positions only."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = super().__get_pydantic_core_schema__(source, handler)
        return _with_fields_covered(schema, cast("type[BaseModel]", cls))


def _with_fields_covered(schema: Any, model: type[BaseModel]) -> Any:
    """`schema` of the model, which may be within others such as those of its validators."""
    if schema["type"] != "model-fields":
        return (
            {**schema, "schema": _with_fields_covered(schema["schema"], model)}
            if "schema" in schema
            else schema
        )
    fields = dict(schema["fields"])
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        uncovered = any(has_sensitive(one) for one in inner if not issubclass(one, SensitiveErrors))
        if name in fields and (is_marked(field) or uncovered):
            fields[name] = {**fields[name], "schema": _covered(fields[name]["schema"], _names_of(inner))}
    return {**schema, "fields": fields}


def _covered(schema: Any, names: Collection[str]) -> Any:
    if schema["type"] == "default":  # it has to stay outside, or the field would be required
        return {**schema, "schema": _covered(schema["schema"], names)}
    return core_schema.no_info_wrap_validator_function(partial(_validated, names), schema)


def _names_of(models: Collection[type[BaseModel]]) -> frozenset[str]:
    """The names and aliases of the fields of the models."""
    fields = [entry for model in models for entry in model.model_fields.items()]
    aliases = [one for _, field in fields for one in (field.alias, field.validation_alias)]
    return frozenset([*(name for name, _ in fields), *(one for one in aliases if isinstance(one, str))])


def _validated(names: Collection[str], value: Any, validate: Callable[[Any], Any]) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        told = [_quiet(one, names) for one in error.errors(include_url=False, include_input=False)]
        raise ValidationError.from_exception_data(error.title, told, hide_input=True) from None


def _quiet(error: ErrorDetails, names: Collection[str]) -> InitErrorDetails:
    """pydantic's own error in its own words, with what the type declares; another is not valid. A validator's
    sentence may repeat the value."""
    where = tuple(
        part if isinstance(part, int) or part in (_KEY, *names) else _COVERED for part in error["loc"]
    )
    kind = cast(Any, error["type"])
    told = {name: part if name in _TERMS else _COVERED for name, part in error.get("ctx", {}).items()}
    if not _can_be_told(kind, told):
        return {"type": PydanticCustomError(kind, _NOT_VALID), "loc": where, "input": None}
    return {"type": kind, "loc": where, "input": None, "ctx": told}


def _can_be_told(kind: Any, told: dict[str, Any]) -> bool:
    if kind in _SENTENCES:
        return False
    try:
        PydanticKnownError(kind, told)
    except (KeyError, TypeError):  # a type or a context that pydantic does not know
        return False
    return True
