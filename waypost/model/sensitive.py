"""Facts that nobody is shown: their mark, their values, and what stands in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar, cast, get_args
from urllib.parse import urlsplit

from pydantic import AnyUrl, BaseModel, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, Url

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
    if _has_sensitive(type(facts)):
        for name, value in _in_model(facts):
            found.setdefault(name, []).append(value)
    return found


def without_sensitive(facts: Model) -> Model:
    """A copy of `facts` in which placeholders of the same kind stand for the sensitive values, and values
    computed from them are computed from the placeholders."""
    return cast(Model, _covered(facts)) if _has_sensitive(type(facts)) else facts


@lru_cache(256)
def _has_sensitive(model: type[BaseModel]) -> bool:
    """Whether a field of the model, or of a model within it, is sensitive."""
    seen, waiting = {model}, [model]
    while waiting:
        for field in waiting.pop().model_fields.values():
            if _is_marked(field):
                return True
            inner = {one for one in _types_in(field.annotation) if _is_model(one)} - seen
            seen |= inner
            waiting += inner
    return False


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    if (named := getattr(annotation, "__value__", None)) is not None:  # of a type alias
        yield from _types_in(named)
    for part in get_args(annotation):
        yield from _types_in(part)


def _is_marked(field: FieldInfo) -> bool:
    """Whether the field has the mark, or a part of its annotation: `Annotated[Text, Sensitive()] | None`."""
    marks = [*field.metadata]
    for one in _types_in(field.annotation):
        marks += getattr(one, "__metadata__", ())
    return any(isinstance(one, Sensitive) or one is Sensitive for one in marks)


def _in_model(model: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None:
            continue
        if _is_marked(field):
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
    return tuple(cast("list[Any]", value)) if isinstance(value, (list, tuple, set, frozenset)) else ()


def _covered(value: Any) -> Any:
    """`value` with placeholders for what is sensitive in it."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return value.model_copy(
            update={
                name: _placeholder(name, kept) if _is_marked(field) else _covered(kept)
                for name, field in fields.items()
                for kept in (getattr(value, name),)
            }
        )
    return _each(value, _covered)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """`value` with each value in it changed, if it is a list or mapping."""
    if isinstance(value, Mapping):
        return {key: change(part) for key, part in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
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
        case str():
            return f"https://waypost.invalid/{name}" if _is_https(value) else f"[{name}]"
        case AnyUrl() | Url():
            return AnyUrl(f"https://waypost.invalid/{name}")
        case int() | float() | Decimal():
            return type(value)(1)
        case datetime():
            return datetime(_YEAR, 1, 1, tzinfo=UTC)
        case date():
            return date(_YEAR, 1, 1)
        case BaseModel():
            fields = type(value).model_fields
            return value.model_copy(update={one: _placeholder(one, getattr(value, one)) for one in fields})
        case Mapping():
            parts = cast("Mapping[Any, Any]", value).values()
            return {_key(name, number): _placeholder(name, part) for number, part in enumerate(parts, 1)}
        case list() | tuple() | set() | frozenset():
            return _each(value, lambda part: _placeholder(name, part))
        case _:
            return f"[{name}]"


def _key(name: str, number: int) -> str:
    return f"[{name}]" if number == 1 else f"[{name}] {number}"
