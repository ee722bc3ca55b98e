"""Validation errors in plain words, where pydantic's own messages are technical."""

from __future__ import annotations

import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from waypost.mail.address import PHONE_PATTERN
from waypost.model.facts import LINE_PATTERN
from waypost.model.word_patterns import (
    COLOUR_PATTERN,
    KIND_PATTERN,
    NO_NUL_PATTERN,
    PROVIDER_PATTERN,
    TAG_PATTERN,
)

_MOMENT = "not a time in ISO 8601, such as 2026-01-31T08:00:00+01:00"
_DATE = "not a date, such as 2026-01-31"
_NUMBER = "not a number"
_WHOLE = "not a whole number"
_OBJECT = "not an object with fields"
_RECIPIENT = 'not an object with fields, such as {"id": "bob"}'
_LINK = "not a web address, such as https://shop.example/orders/7"

_FORMS = {
    COLOUR_PATTERN: "not a colour of six hexadecimal digits, such as #0b7285",
    KIND_PATTERN: "not a kind of channel: up to 41 small letters, digits and hyphens, a letter first",
    NO_NUL_PATTERN: "it contains a NUL character",
    PROVIDER_PATTERN: "not a name: up to 41 small letters, digits and hyphens, no hyphen first",
    TAG_PATTERN: "not a tag: up to 50 letters, digits and . _ : / -, a letter or digit first",
    LINE_PATTERN: "not one line of text: it contains a line break or another control character",
    PHONE_PATTERN: "not a phone number of 5 to 15 digits, such as +44 20 7946 0018",
}
_WORDS = {
    "missing": "missing",
    "extra_forbidden": "no such field",
    "string_type": "not text",
    "string_too_short": "shorter than {min_length} characters",
    "string_too_long": "longer than {max_length} characters",
    "string_pattern_mismatch": "not of the form {pattern}",
    "bool_type": "neither true nor false",
    "bool_parsing": "neither true nor false",
    "literal_error": "not one of {expected}",
    "enum": "not one of {expected}",
    "union_tag_invalid": "its {discriminator} is not one of {expected_tags}",
    "union_tag_not_found": "without {discriminator}",
    "greater_than": "has to be more than {gt}",
    "greater_than_equal": "less than {ge}",
    "less_than": "has to be less than {lt}",
    "less_than_equal": "more than {le}",
    "too_short": "fewer than {min_length} {units}",
    "too_long": "more than {max_length} {units}",
    "list_type": "not a list",
    "time_delta_type": "not a timedelta, such as timedelta(hours=24)",
    "tuple_type": 'not a tuple, such as ("email",)',
    "callable_type": "not a function",
    "is_subclass_of": "not a class derived from {class}",
    **dict.fromkeys(("dataclass_type", "dataclass_exact_type"), "not a {class_name}"),
    "unexpected_keyword_argument": "no such field",
    "timezone_aware": f"without an offset; give {_MOMENT.removeprefix('not ')}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), _NUMBER),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _OBJECT),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _MOMENT),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), _DATE),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), "not an id, such as 019b76da-a800-7000-8000-000000000000"),
    "zoneinfo_str": "not a time zone, such as Europe/Berlin",
    "byte_size": "not a size, such as 10MB",
    "byte_size_unit": "not a size, such as 10MB",
    "import_error": "not the Python path of an object, such as math.pi",
    **dict.fromkeys(("url_type", "url_parsing", "url_scheme", "url_syntax_violation"), _LINK),
}
_FIRST_LINE = re.compile(r" line 1(?= column \d+$)")
_HOLDERS = ("List", "Tuple", "Set", "Frozenset", "Dictionary", "Deque")  # pydantic's field_type of a limit


def in_words(error: ErrorDetails) -> str:
    """What is wrong, without the value itself; pydantic's own words for other types of error."""
    told = error.get("ctx", {})
    units = "items" if told.get("field_type") in _HOLDERS else "characters"
    if error["type"] in ("string_too_short", "too_short") and told.get("min_length") == 1:
        return "empty"
    if error["type"] == "json_invalid":
        return f"not JSON: {_FIRST_LINE.sub('', str(told.get('error', '')))}"
    if error["loc"][-1:] == ("recipient",) and _WORDS.get(error["type"]) == _OBJECT:
        return _RECIPIENT
    try:
        return _FORMS.get(told.get("pattern", "")) or _WORDS[error["type"]].format(units=units, **told)
    except KeyError:
        return error["msg"].removeprefix("Value error, ")


def explain(error: ValidationError, whole: str = "request") -> str:
    """`data.lines.0.quantity: has to be more than 0; ...`, without any of the input. whole: stands for the
    field's name where the error is about all fields."""
    return "; ".join(
        f"{_place(part['loc']) or whole}: {in_words(part)}"
        for part in error.errors(include_input=False, include_url=False)[:5]
    )


def has_only_unknown_fields(error: ValidationError) -> bool:
    """Whether nothing is wrong but fields that are not declared."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return all(one["type"] == "extra_forbidden" for one in found)


def _place(where: tuple[int | str, ...]) -> str:
    """The field's path in a request, safe for a terminal: an unknown field may have any name."""
    named = ".".join(str(part) for part in where)[:100]
    return "".join(letter if letter.isprintable() else "?" for letter in named)
