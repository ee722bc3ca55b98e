"""Facts that nobody is shown: their mark, and where it counts in a declaration."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema
from typing_extensions import is_typeddict

_OPEN = (Any, object, BaseModel)
EXTRA = "__pydantic_extra__"  # the annotation of a model's undeclared fields


@dataclass(frozen=True, slots=True)
class Sensitive:
    """The mark of a fact that nobody is shown: `iban: Annotated[Text, Sensitive()]`. The ledger keeps its
    value, as the message needs it; `waypost templates diff` renders a placeholder, and providers' replies
    lose the value. The forms of Prefect and OpenAPI treat it as a password (JSON Schema's writeOnly)."""

    @classmethod  # so that the mark may be written without its parentheses
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler(schema)
        text = {"format": "password"} if made.get("type") == "string" and "format" not in made else {}
        return {**made, "writeOnly": True, **text}


@lru_cache(256)
def has_sensitive(model: type[BaseModel]) -> bool:
    """Whether a field of the model, or of a model within it, is sensitive."""
    return _any_marked(models_in(model))


@lru_cache(256)
def may_have_sensitive(model: type[BaseModel]) -> bool:
    """Whether a value of the model may hold a sensitive fact: by a mark in it or in a derived model, or where
    its annotations leave open what a value is."""
    inner = _holders_with_derived(model)
    parts = (part for one in inner for member in members_of(one).values() for part in types_in(member))
    is_open = any(part in _OPEN or isinstance(part, TypeVar) for part in parts)
    return is_open or _any_marked(filter(is_model, inner))


def _holders_with_derived(model: type[BaseModel]) -> set[Any]:
    waiting, seen = [cast(Any, model)], set[Any]()
    while waiting:
        found = holders_in(waiting.pop()) - seen
        seen |= found
        waiting += [derived for one in found for derived in type.__subclasses__(one)]
    return seen


def _any_marked(models: Iterable[type[BaseModel]]) -> bool:
    return any(is_marked(field) for one in models for field in one.model_fields.values())


def misplaced_marks(model: type[BaseModel]) -> list[str]:
    """What has a mark in the model that does not count: the members of dataclasses, typed dictionaries and
    named tuples, computed fields, and the type of undeclared fields: `Pair.left`."""
    return sorted(
        f"{one.__name__}.{name}"
        for one in holders_in(model)
        for name, annotation in _without_fields(one).items()
        if _has_mark(types_in(annotation))
    )


def is_marked(field: FieldInfo) -> bool:
    """Whether the field has the mark, or a part of its annotation: `Annotated[Text, Sensitive()] | None`."""
    return any(map(_is_mark, field.metadata)) or _has_mark(types_in(field.annotation))


def models_in(annotation: Any) -> frozenset[type[BaseModel]]:
    """The models in an annotation, and those within them."""
    return frozenset(one for one in holders_in(annotation) if is_model(one))


def holders_in(annotation: Any) -> set[Any]:
    """The models, dataclasses, typed dictionaries and named tuples in an annotation, and within those."""
    waiting, seen = [annotation], set[Any]()
    while waiting:
        found = {one for one in types_in(waiting.pop()) if _has_members(one)} - seen
        seen |= found
        waiting += [member for one in found for member in members_of(one).values()]
    return seen


def members_of(one: Any) -> Mapping[str, Any]:
    """The annotations of the members of a model, dataclass, typed dictionary or named tuple, by name."""
    if not is_model(one):
        return _hints_of(one)
    return {name: field.annotation for name, field in one.model_fields.items()} | _extra_of(one)


def types_in(annotation: Any) -> Iterator[Any]:
    """The parts of an annotation at any depth, itself first, and of what its type aliases stand for."""
    waiting, aliases = [annotation], set[Any]()
    for part in waiting:
        yield part
        origin = get_origin(part)
        waiting += [*get_args(part), *([origin] if isinstance(origin, type) else [])]
        alias = origin or part
        if (meant := _meaning_of(alias)) is not None and alias not in aliases:  # it may refer to itself
            aliases.add(alias)
            waiting.append(meant)


def is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def _has_members(one: Any) -> bool:
    """Whether it is a model, a dataclass, a typed dictionary or a named tuple."""
    if not isinstance(one, type):
        return False
    return is_model(one) or hasattr(one, "_fields") or is_dataclass(one) or is_typeddict(cast(Any, one))


def _without_fields(one: Any) -> Mapping[str, Any]:
    """The members of which a mark does not count."""
    if not is_model(one):
        return members_of(one)
    return {name: field.return_type for name, field in one.model_computed_fields.items()} | _extra_of(one)


def _extra_of(model: type[BaseModel]) -> dict[str, Any]:
    allowed = model.model_config.get("extra") == "allow"
    return {EXTRA: _hints_of(model).get(EXTRA)} if allowed else {}


def _hints_of(one: Any, names: dict[str, Any] | None = None) -> Mapping[str, Any]:
    with suppress(NameError):  # a name of the function that declares it
        return get_type_hints(one, names, include_extras=True)
    return {}


def _meaning_of(alias: Any) -> Any:
    """What a type alias stands for, in which its module's names may be texts. None for another type."""
    with suppress(AttributeError, KeyError, NameError):
        holder = type("Holder", (), {"__annotations__": {"meant": alias.__value__}})
        return _hints_of(holder, vars(sys.modules[alias.__module__])).get("meant")
    return None


def _has_mark(types: Iterable[Any]) -> bool:
    return any(_is_mark(mark) for one in types for mark in getattr(one, "__metadata__", ()))


def _is_mark(one: object) -> bool:
    return isinstance(one, Sensitive) or one is Sensitive
