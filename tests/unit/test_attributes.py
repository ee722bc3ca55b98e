"""Attributes of a recipient: what they may be, and how changes are merged."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from waypost.model.attributes import LONGEST, MOST_BYTES, MOST_NAMES, SCHEMA, checked, merged
from waypost.model.profile import Profile

GOOD = [
    {},
    {"plan": "gold", "visits": 3, "ratio": 0.5, "vip": True, "left": None},
    {"tags": ["a", 1, None], "address": {"city": "Bern", "lines": ["a", "b"]}} | {"x" * 64: ""},
    {f"n{number}": number for number in range(MOST_NAMES)},
    {"text": "x" * LONGEST, "number": 2**63 - 1},
]
BAD = [
    ({"": 1}, "name"),
    ({"first name": 1}, "name"),
    ({"x" * 65: 1}, "name"),
    ({f"n{number}": number for number in range(MOST_NAMES + 1)}, "more than 50 names"),
    ({"plan": "x" * (LONGEST + 1)}, "plan: a text has more than 1,000 characters"),
    ({"plan": "a\0b"}, "plan: a text contains a NUL character"),
    ({"plan": "\ud800"}, "plan: a text contains half of a surrogate pair"),
    ({"plan": 2**63}, "plan: a number is outside of 64 bits"),
    ({"plan": 1e300}, "plan: a number is outside of 64 bits"),
    ({"plan": [[[]]]}, "plan: lists and objects are nested more than 2 levels deep"),
    ({"plan": list(range(101))}, "plan: a list or object has more than 100 items"),
    ({"plan": {"a b": 1}}, "plan: a name in an object"),
]


@pytest.mark.parametrize("value", GOOD)
def test_attributes_are_kept_as_they_are(value):
    assert checked(value) == value
    assert Draft202012Validator(SCHEMA).is_valid(value)


@pytest.mark.parametrize(("value", "why"), BAD)
def test_what_cannot_be_kept_is_told_without_its_value(value, why):
    with pytest.raises(ValueError, match=why):
        checked(value)
    assert not Draft202012Validator(SCHEMA).is_valid(value)


def test_what_json_cannot_say_is_refused():
    for value in (float("nan"), float("inf"), b"x", ("a",)):
        with pytest.raises(ValueError, match=r"plan: (not a|a number is outside)"):
            checked({"plan": value})


def test_together_they_have_a_limit():
    with pytest.raises(ValueError, match=r"more than 8,192 bytes as JSON"):
        checked({f"n{number}": "x" * LONGEST for number in range(MOST_BYTES // LONGEST + 1)})


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        (None, {"plan": "gold"}, {"plan": "gold"}),
        ({"plan": "gold", "city": "Bern"}, {"plan": "free", "city": None}, {"plan": "free"}),
        ({"plan": {"a": 1}}, {"plan": {"b": 2}}, {"plan": {"b": 2}}),
        ({"plan": "gold"}, {}, {"plan": "gold"}),
        ({"plan": "gold"}, None, {}),
    ],
)
def test_a_change_names_what_it_changes(old, new, result):
    assert merged(old, new) == result


def test_a_profile_shows_no_value_in_an_error():
    with pytest.raises(ValueError, match="attributes") as error:
        Profile(id="ada", attributes={"plan": "secret" * 200})
    assert "secret" not in str(error.value)
