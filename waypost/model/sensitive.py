"""Facts that nobody is shown: their mark, their values, and what stands in their place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any, TypeVar, cast, get_args, get_type_hints
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AnyUrl, BaseModel, GetJsonSchemaHandler, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, Url
from typing_extensions import is_typeddict

_YEAR = 2000  # of a date in place of another
Model = TypeVar("Model", bound=BaseModel)


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


def sensitive_values(facts: BaseModel) -> dict[str, list[Any]]:
    """The values of the sensitive facts at any depth, by the names of their fields."""
    found: dict[str, list[Any]] = {}
    if has_sensitive(type(facts)):
        for name, value in _in_model(facts):
            found.setdefault(name, []).append(value)
    return found


def without_sensitive(facts: Model) -> Model:
    """A copy of `facts` in which placeholders of the same kind stand for the sensitive values, and values
    computed from them are computed from the placeholders."""
    return cast(Model, _covered(facts)) if has_sensitive(type(facts)) else facts


@lru_cache(256)
def has_sensitive(model: type[BaseModel]) -> bool:
    """Whether a field of the model, or of a model within it, is sensitive."""
    return any(is_marked(field) for one in _with_inner([model]) for field in one.model_fields.values())


def models_in(annotation: Any) -> frozenset[type[BaseModel]]:
    """The models in an annotation, and those within them."""
    return frozenset(_with_inner(one for one in _types_in(annotation) if _is_model(one)))


def _with_inner(models: Iterable[type[BaseModel]]) -> set[type[BaseModel]]:
    waiting = [*models]
    seen = set(waiting)
    while waiting:
        for field in waiting.pop().model_fields.values():
            inner = {one for one in _types_in(field.annotation) if _is_model(one)} - seen
            seen |= inner
            waiting += inner
    return seen


def misplaced_marks(model: type[BaseModel]) -> list[str]:
    """The members with a mark of the dataclasses, typed dictionaries and named tuples in the model, where a
    mark does not count: `Pair.left`."""
    annotations = [field.annotation for one in _with_inner([model]) for field in one.model_fields.values()]
    waiting = [one for annotation in annotations for one in _types_in(annotation) if _has_members(one)]
    seen, found = set[Any](waiting), list[str]()
    while waiting:
        one = waiting.pop()
        for name, annotation in _members_of(one).items():
            parts = [*_types_in(annotation)]
            if _has_mark(parts):
                found.append(f"{one.__name__}.{name}")
            inner = {part for part in parts if _has_members(part)} - seen
            seen |= inner
            waiting += inner
    return sorted(found)


def _has_members(one: Any) -> bool:
    """Whether it is a dataclass, a typed dictionary or a named tuple."""
    if not isinstance(one, type):
        return False
    return hasattr(one, "_fields") or is_dataclass(one) or is_typeddict(cast(Any, one))


def _members_of(one: Any) -> Mapping[str, Any]:
    with suppress(NameError):  # a name of the function that declares it
        return get_type_hints(one, include_extras=True)
    return {}


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    if (named := getattr(annotation, "__value__", None)) is not None:  # of a type alias
        yield from _types_in(named)
    for part in get_args(annotation):
        yield from _types_in(part)


def is_marked(field: FieldInfo) -> bool:
    """Whether the field has the mark, or a part of its annotation: `Annotated[Text, Sensitive()] | None`."""
    return any(map(_is_mark, field.metadata)) or _has_mark(_types_in(field.annotation))


def _has_mark(types: Iterable[Any]) -> bool:
    return any(_is_mark(mark) for one in types for mark in getattr(one, "__metadata__", ()))


def _is_mark(one: object) -> bool:
    return isinstance(one, Sensitive) or one is Sensitive


def _in_model(model: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None:
            continue
        if is_marked(field):
            yield name, _with_keys(value)
        else:
            yield from _in_value(value)


def _in_value(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        yield from _in_model(value)
    for part in _parts_of(value):
        yield from _in_value(part)


def _with_keys(value: Any) -> Any:
    """`value` with the keys of its mappings among their values: they say as much."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return [*map(str, entries), *map(_with_keys, entries.values())]
    return _each(value, _with_keys)


def _parts_of(value: Any) -> tuple[Any, ...]:
    """The values in a list or mapping; empty for another value."""
    if isinstance(value, Mapping):
        return tuple(cast("Mapping[Any, Any]", value).values())
    return tuple(cast("list[Any]", value)) if isinstance(value, (list, tuple, set, frozenset, deque)) else ()


def _covered(value: Any) -> Any:
    """`value` with placeholders for what is sensitive in it."""
    if isinstance(value, BaseModel):
        return value.model_copy(
            update={
                name: _placeholder(name, kept) if is_marked(field) else _covered(kept)
                for name, field in type(value).model_fields.items()
                for kept in (getattr(value, name),)
            }
        )
    return _each(value, _covered)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """`value` with each value in it changed, if it is a list or mapping."""
    if isinstance(value, Mapping):
        return {key: change(part) for key, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        made = map(change, cast("list[Any]", value))
        return _kind_of(value)(made)
    return value


def _kind_of(value: Any) -> Callable[[Iterable[Any]], Any]:
    """Makes a list, tuple or set of the same kind; a named tuple by its own way."""
    return cast("Callable[[Iterable[Any]], Any]", getattr(value, "_make", None) or type(value))


def _is_https(text: str) -> bool:
    try:
        return urlsplit(text).scheme == "https"
    except ValueError:  # a host that cannot be one
        return False


def _placeholder(name: str, value: Any) -> Any:
    """A value of the same kind as `value` that says nothing of it."""
    match value:
        case None | bool():
            return value if value is None else False
        case Enum():
            return next(iter(type(value)))
        case str():
            return f"https://waypost.invalid/{name}" if _is_https(value) else f"[{name}]"
        case bytes():
            return f"[{name}]".encode()
        case SecretStr():
            return SecretStr(f"[{name}]")
        case SecretBytes():
            return SecretBytes(f"[{name}]".encode())
        case AnyUrl() | Url():
            return AnyUrl(f"https://waypost.invalid/{name}")
        case int() | float() | Decimal() | Fraction():
            return type(value)(1)
        case datetime():
            return datetime(_YEAR, 1, 1, tzinfo=value.tzinfo and UTC)
        case date():
            return date(_YEAR, 1, 1)
        case time():
            return time(tzinfo=value.tzinfo and UTC)
        case timedelta():
            return timedelta(days=1)
        case UUID():
            return UUID(int=0)
        case PurePath():
            return type(value)(f"[{name}]")
        case IPv4Address() | IPv6Address() | IPv4Network() | IPv6Network():
            return type(value)(0)
        case BaseModel():
            names = type(value).model_fields
            return value.model_copy(update={one: _placeholder(one, getattr(value, one)) for one in names})
        case Mapping():
            parts = cast("Mapping[Any, Any]", value).values()
            return {_key(name, number): _placeholder(name, part) for number, part in enumerate(parts, 1)}
        case list() | tuple() | set() | frozenset() | deque():
            return _each(value, lambda part: _placeholder(name, part))
        case _ if is_dataclass(value):
            return _of_dataclass(value)
        case _:
            return f"[{name}]"


def _of_dataclass(value: Any) -> Any:
    made = copy(value)
    for field in fields(value):
        object.__setattr__(made, field.name, _placeholder(field.name, getattr(value, field.name)))
    return made


def _key(name: str, number: int) -> str:
    return f"[{name}]" if number == 1 else f"[{name}] {number}"
