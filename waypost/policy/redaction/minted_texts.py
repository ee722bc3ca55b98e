"""Reduces minted values and sensitive facts to the texts that a provider's reply may repeat. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice
from numbers import Number
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from pydantic import AnyUrl, BaseModel, SecretBytes, SecretStr
from pydantic_core import Url

# Of one notification, with the lists and mappings that hold them: their search takes 10 ms of a message.
MOST_VALUES = 500
_LIMIT = f"minted values and sensitive facts are {MOST_VALUES} at most, with the lists that hold them"
_SMALLEST_CODE = 1000  # smaller integers are counts and minutes, and would be found in every reply

# Their `str` is what a template shows.
_ADDRESSES = (IPv4Address, IPv6Address, IPv4Network, IPv6Network)
_PLAIN = (Number, UUID, date, time, timedelta, AnyUrl, Url, PurePath, *_ADDRESSES)


class NoText(Exception):
    """A value cannot be removed from replies. The message names the value and says what to do."""


def texts_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Every text in `values`, at any depth, each once. Numbers and the like are texts as templates show them.
    Raises NoText."""
    found: dict[str, None] = {}
    left = MOST_VALUES
    for name, value in values.items():
        waiting = [value]
        while waiting:
            if (left := left - 1) < 0:
                raise NoText(f"`{name}` has too many values: {_LIMIT}")
            parts = _parts(waiting.pop())
            if parts is None:
                raise NoText(f"`{name}` is not a text; use texts, numbers, and lists or mappings of them")
            if isinstance(parts, str):
                found[parts] = None
            else:
                waiting += islice(parts, left + 1)
    return tuple(found)


def _parts(value: object) -> str | Iterable[Any] | None:
    """A text, or the parts of a value that holds others. None if it is neither."""
    match value:
        case None | bool():
            return ()
        case int() if abs(value) < _SMALLEST_CODE:
            return ()
        case str():
            return str(value)
        case bytes() | bytearray():
            return value.decode("utf-8", "replace")
        case SecretStr() | SecretBytes():
            return (value.get_secret_value(),)
        case Enum():
            return (value.value,)
        case BaseModel():
            return (part for _, part in value)
        case Mapping():
            return _of_mapping(cast(Mapping[Any, Any], value))
        case Collection():
            return cast(Collection[Any], value)
        case _ if is_dataclass(value):
            return (getattr(value, field.name) for field in fields(value))
        case _:
            return str(value) if isinstance(value, _PLAIN) else None


def _of_mapping(value: Mapping[Any, Any]) -> Iterator[Any]:
    """The values, and the keys with a digit, which may be codes: `{"k4n4ry": "used"}`."""
    for key, part in value.items():
        yield part
        if any(map(str.isdigit, str(key))):
            yield key
