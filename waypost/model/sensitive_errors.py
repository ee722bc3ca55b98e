"""Validation errors of sensitive facts: without the keys of their mappings, and without their values."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, cast

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from waypost.model.plain_numbers import PlainNumbers
from waypost.model.sensitive import has_sensitive, is_marked, models_in

_COVERED = "***"
_KEY = "[key]"  # pydantic's word for an error about a key itself


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
    where = tuple(
        part if isinstance(part, int) or part in (_KEY, *names) else _COVERED for part in error["loc"]
    )
    told, said = dict(error.get("ctx", {})), error["msg"]
    if tag := told.pop("tag", None):
        said = said.replace(str(tag), _COVERED)
    return {
        "type": PydanticCustomError(cast(Any, error["type"]), cast(Any, said), told),
        "loc": where,
        "input": None,
    }
