"""Errors of values, in people's words."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import AfterValidator, ByteSize, Field, ImportString, IPvAnyAddress, Json, ValidationError
from pydantic_core import PydanticCustomError

from waypost import Facts, Line, Link, Moment, Request, Sensitive
from waypost.gateway.http.listing import Listing
from waypost.gateway.http.verification_request import CodeCheck, LinkCheck
from waypost.gateway.http.webhook_request import NewWebhook
from waypost.model.provider import Provider
from waypost.model.validation_messages import explain, in_words


def _never(_value: str) -> str:
    raise ValueError("it is never right")


class Every(Facts):
    line: Line = ""
    count: Annotated[int, Field(gt=0, le=9)] = 1
    price: float = 0.0
    color: Literal["red", "blue"] = "red"
    at: Moment | None = None
    day: date = date(2026, 1, 31)
    link: Link | None = None
    few: Annotated[list[int], Field(max_length=2)] = Field(default_factory=list)
    code: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    some: Annotated[str, Field(min_length=1)] = "x"
    never: Annotated[str, AfterValidator(_never)] = ""


def _patterns(schema):
    """The patterns that a model's own validation has."""
    if isinstance(schema, dict):
        return {
            *([schema["pattern"]] if schema.get("type") == "str" and "pattern" in schema else []),
            *(found for part in schema.values() for found in _patterns(part)),
        }
    return (
        {found for part in schema for found in _patterns(part)} if isinstance(schema, list | tuple) else set()
    )


@pytest.mark.parametrize("model", [Request[Every], CodeCheck, LinkCheck, Listing, NewWebhook, Provider])
def test_no_pattern_of_ours_is_shown_as_it_stands(model):
    ours = _patterns(model.__pydantic_core_schema__) - {"^[A-Z]{3}$"}  # that one is this test's
    shown = [
        in_words({"type": "string_pattern_mismatch", "loc": (), "ctx": {"pattern": one}}) for one in ours
    ]
    assert not [words for words in shown if "^" in words]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "tags",
            ["a b"],
            "tags.0: not a tag: up to 50 letters, digits and . _ : / -, a letter or digit first",
        ),
        ("channels", ["E"], "channels.0: not a kind of channel: up to 41 small letters, digits and hyphens"),
    ],
)
def test_the_form_of_a_word_is_said_in_words(field, value, said):
    with pytest.raises(ValidationError) as refused:
        Request[Every].model_validate({"recipient": {"id": "ada"}, "data": {}, field: value})
    assert explain(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"hue": 1}', "hue: no such field"),
        ('{"line": 5}', "line: not text"),
        ('{"count": 0}', "count: has to be more than 0"),
        ('{"count": 10}', "count: more than 9"),
        ('{"count": "hunter2"}', "count: not a whole number"),
        ('{"count": 1.5}', "count: not a whole number"),
        ('{"price": "hunter2"}', "price: not a number"),
        ('{"color": "hunter2"}', "color: not one of 'red' or 'blue'"),
        ('{"at": "hunter2"}', "at: not a time in ISO 8601, such as 2026-01-31T08:00:00+01:00"),
        ('{"at": "2026-01-31T08:00:00"}', "at: without an offset; give a time in ISO 8601, such as "),
        ('{"day": "hunter2"}', "day: not a date, such as 2026-01-31"),
        ('{"link": "hunter2"}', "link: not a web address"),
        ('{"few": [1, 2, 3]}', "few: more than 2 items"),
        ('{"some": ""}', "some: empty"),
        ('{"code": "hunter2"}', "code: not of the form ^[A-Z]{3}$"),
        ('{"never": "hunter2"}', "never: it is never right"),
        ('{"line": "two\\nlines"}', "line: not one line of text"),
        ("hunter2", "request: not JSON: expected value at column 1"),
        ('{"line":\n', "request: not JSON: EOF while parsing a value at line 2 column 0"),
        ("[]", "request: not an object"),
    ],
)
def test_what_is_wrong_is_said_without_the_value(given, said):
    with pytest.raises(ValidationError) as refused:
        Every.model_validate_json(given)
    told = explain(refused.value)
    assert told.startswith(said)
    assert "hunter2" not in told
    assert "nput" not in told


@pytest.mark.parametrize("mark", [(), (Sensitive(),)], ids=["plain", "sensitive"])
@pytest.mark.parametrize(
    "kind",
    [ZoneInfo, ByteSize, ImportString[Any], Json[Any], IPvAnyAddress, UUID, Moment, date, Link, Literal["a"]],
    ids=lambda kind: getattr(kind, "__name__", ""),
)
@pytest.mark.parametrize("value", ["hunter2", "2 hunter2", "P2026-hunter2", "https://hunter2:99999999"])
def test_no_error_of_a_type_repeats_the_value(kind, mark, value):
    annotation = Annotated[(kind, Field(), *mark)]
    model = type("Kind", (Facts,), {"__annotations__": {"fact": annotation}})
    with pytest.raises(ValidationError) as refused:
        model(fact=value)
    assert "hunter2" not in explain(refused.value)
    if mark:
        assert "hunter2" not in f"{refused.value} {refused.value.errors()}"


def _repeats(value: Any) -> Any:
    raise ValueError(f"bad {value}")


def _asserts(value: Any) -> Any:
    assert not value, f"bad {value}"


def _raises_its_own(value: Any) -> Any:
    raise PydanticCustomError("own", "bad {value}", {"value": value})


def _looks_like_pydantic(value: Any) -> Any:
    raise PydanticCustomError("int_type", f"bad {value}", {"value": value})


@pytest.mark.parametrize("validator", [_repeats, _asserts, _raises_its_own, _looks_like_pydantic])
def test_a_validator_of_a_sensitive_fact_cannot_tell_its_value(validator):
    marked = Annotated[str, AfterValidator(validator), Sensitive()]
    model = type("Kind", (Facts,), {"__annotations__": {"fact": marked, "facts": list[marked]}})
    with pytest.raises(ValidationError) as refused:
        model(fact="hunter2", facts=["hunter2"])
    word = "not a whole number" if validator is _looks_like_pydantic else "not valid"
    assert explain(refused.value) == f"fact: {word}; facts.0: {word}"
    assert "hunter2" not in f"{refused.value} {refused.value.errors()}"
