"""Field types for a type's facts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    UrlConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticKnownError

from waypost.model.sensitive_errors import SensitiveErrors

MOST_IN_A_LINK = 2083  # pydantic's own limit for HttpUrl


# Text that may stand in a header or a message's first line: no line break, no other control.
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
Line = Annotated[str, Field(max_length=200, pattern=LINE_PATTERN)]


# A line that is not blank: it has a character other than the blanks of Unicode.
TEXT_PATTERN = (
    r"^[ \xa0\u1680\u2000-\u200a\u202f\u205f\u3000]*"
    r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
    r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
)


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("blank")
    return value


Text = Annotated[
    Line,
    Field(min_length=1),
    AfterValidator(_not_blank),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200, "pattern": TEXT_PATTERN}),
]


# A moment with its offset. The pattern lets Prefect refuse anything else when a run is created.
_DATE = r"(19[7-9]\d|2[01]\d{2}|2200)-\d{2}-\d{2}"
_MOMENT = rf"^{_DATE}[Tt ]" r"\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})$"


def _within_reach(value: datetime) -> datetime:
    """Limit the year, so that both databases and every time zone can hold the moment plus a deadline."""
    if not 1970 <= value.year <= 2200:
        raise ValueError("not between the years 1970 and 2200")
    return value


def _written_out(value: object) -> object:
    """Reject seconds since 1970, which pydantic would accept: they have no offset."""
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise PydanticKnownError("datetime_parsing", {"error": "not in ISO 8601"})


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    AfterValidator(_within_reach),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _MOMENT}, mode="validation"),
]


def _readable_again(url: HttpUrl) -> HttpUrl:
    """The ledger keeps a URL percent-encoded, and a run parses it again: that form must not be too long."""
    if len(str(url)) > MOST_IN_A_LINK:
        raise ValueError(f"longer than {MOST_IN_A_LINK:,} characters when percent-encoded")
    return url


# A web address, as plain text in templates.
Link = Annotated[HttpUrl, AfterValidator(_readable_again), PlainSerializer(str, return_type=str)]


MOST_IN_A_LIST_ADDRESS = 900  # characters: a header's line holds 998


def _for_a_header(url: HttpUrl) -> HttpUrl:
    """The URL parser leaves characters such as | that no address in a header may have (RFC 3986), and
    =?, which begins an encoded word there (RFC 2047)."""
    page, mark, query = quote(str(url), safe="-._~:/?#[]@!$&'()*+,;=%").partition("?")
    if mark and page.endswith("="):
        page = f"{page[:-1]}%3D"
    encoded = f"{page}{mark}{query.replace('=?', '=%3F')}"
    if len(encoded) > MOST_IN_A_LIST_ADDRESS:
        raise ValueError(f"longer than {MOST_IN_A_LIST_ADDRESS} characters when percent-encoded")
    return HttpUrl(encoded)


# A web address for the header List-Unsubscribe, as plain text in templates.
ListAddress = Annotated[
    HttpUrl,
    UrlConstraints(max_length=MOST_IN_A_LIST_ADDRESS),
    AfterValidator(_for_a_header),
    PlainSerializer(str, return_type=str),
]


class Facts(SensitiveErrors, BaseModel):
    """The facts a type needs. Unknown fields are refused, and so are booleans and underscores as numbers.
    Errors never repeat the input."""

    # JSON has neither infinity nor NaN: accepted, they would be null when read again.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)
