"""The values of sensitive facts, and what stands in their place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any, Literal, TypeVar, cast, get_args, get_origin
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AnyUrl, BaseModel, SecretBytes, SecretStr
from pydantic_core import Url
from typing_extensions import is_typeddict

from waypost.model.sensitive import holders_in, is_marked, may_have_sensitive, members_of, types_in

_YEAR = 2000  # of a date in place of another
_LEAVES = (str, int, float, type(None))  # the most frequent values, which hold no others
Model = TypeVar("Model", bound=BaseModel)


def sensitive_values(facts: BaseModel) -> dict[str, list[Any]]:
    """The values of the sensitive facts at any depth, by the names of their fields."""
    if not may_have_sensitive(type(facts)):
        return {}
    found: dict[str, list[Any]] = {}
    for name, value in _in_value(facts):
        found.setdefault(name, []).append(value)
    return found


def without_sensitive(facts: Model) -> Model:
    """A copy of `facts` in which placeholders of the same kind stand for the sensitive values, and values
    computed from them are computed from the placeholders."""
    return cast(Model, _covered(facts)) if sensitive_values(facts) else facts


def _in_value(value: Any) -> Iterator[tuple[str, Any]]:
    for name, part in _members(value).items():
        if part is not None and _is_sensitive(value, name):
            yield name, _with_keys(part)
        elif not isinstance(part, _LEAVES):
            yield from _in_value(part)
    for part in _parts_of(value):
        if not isinstance(part, _LEAVES):
            yield from _in_value(part)


def _is_sensitive(value: Any, name: str) -> bool:
    return isinstance(value, BaseModel) and _is_marked(type(value), name)


@lru_cache(1024)
def _is_marked(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and is_marked(field)


def _with_keys(value: Any) -> Any:
    """`value` with the keys of its mappings among their values: they say as much."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return [*map(str, entries), *map(_with_keys, entries.values())]
    return _each(value, _with_keys)


def _members(value: Any) -> dict[str, Any]:
    """The values of the fields of a model or dataclass, undeclared ones too; empty for another value."""
    if isinstance(value, BaseModel):
        declared = {name: getattr(value, name) for name in type(value).model_fields}
        return declared | (value.model_extra or {})
    return {one.name: getattr(value, one.name) for one in fields(value)} if _has_members(value) else {}


def _has_members(value: Any) -> bool:
    """Whether it is a model or a dataclass."""
    return isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type))


def _parts_of(value: Any) -> tuple[Any, ...]:
    """The values in a list or mapping; empty for another value."""
    if isinstance(value, Mapping):
        return tuple(cast("Mapping[Any, Any]", value).values())
    return tuple(cast("list[Any]", value)) if isinstance(value, (list, tuple, set, frozenset, deque)) else ()


def _covered(value: Any) -> Any:
    """`value` with placeholders for what is sensitive in it."""
    if not _has_members(value):
        return _each(value, _covered)
    covered = {
        name: _of_member(value, name, part) if _is_sensitive(value, name) else _covered(part)
        for name, part in _members(value).items()
    }
    return _remade(value, covered)


def _remade(value: Any, members: Mapping[str, Any]) -> Any:
    """A copy of the model or dataclass with other members, and without what it keeps beside them."""
    made = value.model_copy() if isinstance(value, BaseModel) else copy(value)
    if hasattr(made, "__dict__"):
        vars(made).clear()
    extra = (made.model_extra if isinstance(made, BaseModel) else None) or dict[str, Any]()
    for name, part in members.items():
        if name in extra:
            extra[name] = part
        else:
            object.__setattr__(made, name, part)
    if isinstance(made, BaseModel):
        _begin_again(made)
    return made


def _begin_again(model: BaseModel) -> None:
    """Compute the private attributes of the copy again; a placeholder stands for one that stays empty."""
    before = model.__pydantic_private__
    if before is not None:
        object.__setattr__(model, "__pydantic_private__", None)
    if type(model).__pydantic_post_init__:
        with suppress(Exception):  # the type's own code may refuse a placeholder
            model.model_post_init(None)
    if before is not None:
        blank = {name: _placeholder(name, part) for name, part in before.items()}
        object.__setattr__(model, "__pydantic_private__", blank | (model.__pydantic_private__ or {}))


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


@dataclass(frozen=True, slots=True)
class _Declared:
    """What the code itself says of a value. keys: of typed dictionaries. first: by each choice of a Literal,
    the first one of that Literal."""

    keys: frozenset[str] = frozenset()
    first: Mapping[Any, Any] = field(default_factory=dict[Any, Any])


_NOTHING = _Declared()


@lru_cache(1024)
def _declared(holder: Any, name: str) -> _Declared:
    """Of a member of a model or dataclass."""
    annotation = members_of(holder).get(name)
    inner = [(one, members_of(one)) for one in holders_in(annotation)]
    first = dict[Any, Any]()
    for part in [annotation, *(member for _, members in inner for member in members.values())]:
        choices = [one for kind in types_in(part) if get_origin(kind) is Literal for one in get_args(kind)]
        first |= dict.fromkeys(choices, *choices[:1])
    return _Declared(frozenset(key for one, members in inner if is_typeddict(one) for key in members), first)


def _of_member(holder: Any, name: str, value: Any) -> Any:
    return _placeholder(name, value, _declared(cast(Any, type(holder)), name))


def _is_https(text: str) -> bool:
    try:
        return urlsplit(text).scheme == "https"
    except ValueError:  # a host that cannot be one
        return False


def _placeholder(name: str, value: Any, declared: _Declared = _NOTHING) -> Any:
    """A value of the same kind as `value` that says nothing of it."""
    if isinstance(value, (str, int, bytes, Enum)) and value in declared.first:
        return declared.first[value]
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
        case Mapping():
            return _of_mapping(name, cast("Mapping[Any, Any]", value), declared)
        case list() | tuple() | set() | frozenset() | deque():
            return _each(value, lambda part: _placeholder(name, part, declared))
        case _ if _has_members(value):
            members = _members(value).items()
            return _remade(value, {one: _of_member(value, one, part) for one, part in members})
        case _:
            return f"[{name}]"


def _of_mapping(name: str, value: Mapping[Any, Any], declared: _Declared) -> dict[Any, Any]:
    """The keys of a typed dictionary stay: its code names them."""
    return {
        key if key in declared.keys else _key(name, number): _placeholder(
            key if key in declared.keys else name, part, declared
        )
        for number, (key, part) in enumerate(value.items(), 1)
    }


def _key(name: str, number: int) -> str:
    return f"[{name}]" if number == 1 else f"[{name}] {number}"
