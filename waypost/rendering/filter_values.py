"""What each filter takes, and the sentence about a value that it does not take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import NamedTuple, Never, cast

from jinja2 import Undefined

from waypost.rendering.template_files import TemplateError


class _Need(NamedTuple):
    """A value that a filter takes. said: its kind in words. fits: whether a value is of the kind."""

    said: str
    fits: Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_exact(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_exact(value) or (isinstance(value, float) and math.isfinite(value))


def _is_date(value: object) -> bool:
    return isinstance(value, date)


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


def _is_day_or_moment(value: object) -> bool:
    return _is_moment(value) if isinstance(value, datetime) else _is_date(value)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


_LINES = ("name", "address", "city", "country")
_TEXT_OR_NONE = (str, type(None))  # a tuple is looked at faster than a union


def _is_place(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    place = cast(Mapping[object, object], value)
    for name in _LINES:
        if not isinstance(place.get(name, 0), _TEXT_OR_NONE):
            return False
    return isinstance(place.get("region"), _TEXT_OR_NONE) and isinstance(
        place.get("postal_code"), _TEXT_OR_NONE
    )


# Of each of Waypost's filters: its value, and then its arguments that have no default.
_TEXT = _Need("a text", _is_text)
_MOMENT = _Need("a moment with an offset from UTC", _is_moment)
_NEEDS: Mapping[str, Sequence[_Need]] = {
    "money": (_Need("an Amount", _is_exact), _Need("a currency such as EUR", _is_text)),
    "number": (_Need("a number", _is_number),),
    "percent": (_Need("a number such as 0.15", _is_number),),
    "date": (_Need("a date", _is_date),),
    "datetime": (_MOMENT,),
    "period": (_MOMENT, _Need("another", _is_moment)),
    "relative": (_Need(f"a date or {_MOMENT.said}", _is_day_or_moment),),
    "listed": (_Need("a list", _is_list),),
    "address": (_Need("an object with name, address, city and country", _is_place),),
    "phone": (_TEXT,),
    "mailto": (_TEXT,),
    "url": (_Need("a text or a Link", _is_text),),
    "wordwrap": (_TEXT,),
    "across": (_TEXT, _Need("another", _is_text)),
}


def _checker(filter: str, needs: Sequence[_Need]) -> Callable[..., None]:
    """The check of a filter. It is called dozens of times for an order, so it has no loop."""
    first = needs[0].fits

    def check_one(value: object) -> None:
        if not first(value):
            _refuse(filter, value)

    def check_texts(value: object, other: object) -> None:
        if not (isinstance(value, str) and isinstance(other, str)):
            _refuse(filter, value, other)

    if len(needs) == 1:
        return check_one
    second = needs[1].fits
    if first is second is _is_text:
        return check_texts

    def check_two(value: object, other: object) -> None:
        if not (first(value) and second(other)):
            _refuse(filter, value, other)

    return check_two


# By filter. Each raises TemplateError for a value of the wrong kind; for an undefined name it raises Jinja's
# own error, which names it.
CHECKS: Mapping[str, Callable[..., None]] = {name: _checker(name, needs) for name, needs in _NEEDS.items()}


def _refuse(filter: str, *given: object) -> Never:
    for value in given:
        if isinstance(value, Undefined):
            str(value)  # raises
    raise TemplateError(misused(filter, given))


def misused(filter: str, given: Sequence[object]) -> str:
    """The sentence about a filter that cannot take the values: it names their kinds, never the values."""
    needs = _NEEDS.get(filter, ())
    got = " and ".join(map(_kind_of, given[: len(needs) or 1]))
    if not needs:
        return f"the filter {filter} cannot take {got}"
    if all(need.fits(value) for need, value in zip(needs, given, strict=False)):
        return f"the filter {filter} cannot show this value"
    return f"the filter {filter} needs {' and '.join(need.said for need in needs)}; it got {got}"


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "nothing (None)"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case float():
            return "a float" if math.isfinite(value) else "a float that is not finite"
        case Decimal() if not value.is_finite():
            return "a number that is not finite"
        case int() | Decimal():
            return "a number"
        case datetime():
            return "a moment" if value.tzinfo else "a moment without an offset"
        case date():
            return "a date"
        case time():
            return "a time"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case set() | frozenset():
            return "a set"
        case _:
            return f"a value of type {type(value).__name__}"
