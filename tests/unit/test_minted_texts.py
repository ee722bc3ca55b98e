"""The texts of what a type mints."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction
from ipaddress import ip_address
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import pytest
from jinja2 import Template
from pydantic import AnyUrl, BaseModel, HttpUrl, SecretBytes, SecretStr, TypeAdapter

from waypost.policy.redaction.minted_texts import MOST_VALUES, NoText, texts_of
from waypost.policy.redaction.redact import Redaction


class Model(BaseModel):
    code: str


@dataclass
class Record:
    code: str


class Named(NamedTuple):
    code: str


class Marked(str):
    __slots__ = ()


class Plain(Enum):
    CODE = "k4n4ry"


class Text(StrEnum):
    CODE = "k4n4ry"


ID = "0199c2f0-7d1a-7b3c-8d2e-5f6a7b8c9d0e"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("k4n4ry", "k4n4ry"),
        (Marked("k4n4ry"), "k4n4ry"),
        (519517, "519517"),
        (5195.17, "5195.17"),
        (Decimal("519517.10"), "519517.10"),
        (Fraction(519517, 2), "519517/2"),
        (UUID(ID), ID),
        (b"k4n4ry", "k4n4ry"),
        (bytearray(b"k4n4ry"), "k4n4ry"),
        (SecretStr("k4n4ry"), "k4n4ry"),
        (SecretBytes(b"k4n4ry"), "k4n4ry"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (TypeAdapter(HttpUrl).validate_python("https://a.example/k4n4ry"), "https://a.example/k4n4ry"),
        (AnyUrl("app://k4n4ry"), "app://k4n4ry"),
        (PurePosixPath("/k4n4ry"), "/k4n4ry"),
        (ip_address("192.0.2.7"), "192.0.2.7"),
        (Plain.CODE, "k4n4ry"),
        (Text.CODE, "k4n4ry"),
        (["k4n4ry"], "k4n4ry"),
        (("k4n4ry",), "k4n4ry"),
        ({"k4n4ry"}, "k4n4ry"),
        (frozenset({519517}), "519517"),
        (deque(["k4n4ry"]), "k4n4ry"),
        ({"code": "k4n4ry"}, "k4n4ry"),
        ({"code": "k4n4ry"}.values(), "k4n4ry"),
        (MappingProxyType({"code": "k4n4ry"}), "k4n4ry"),
        ({"k4n4ry": True}, "k4n4ry"),
        ({519517: None}, "519517"),
        (Model(code="k4n4ry"), "k4n4ry"),
        (Record("k4n4ry"), "k4n4ry"),
        (Named("k4n4ry"), "k4n4ry"),
        ({"a": [({"b": (SecretStr("k4n4ry"),)},)]}, "k4n4ry"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_value_is_removed_from_replies(value, text):
    assert texts_of({"value": value}) == (text,)
    assert text not in Redaction(texts_of({"value": value}))(f"spam: {text}")


@pytest.mark.parametrize("shown", ["{{ pin }}", "{{ '{:,}'.format(pin) }}", "{{ pin|float }}"])
def test_a_number_is_removed_as_templates_show_it(shown):
    said = Template(f"spam: {shown}").render(pin=519517)
    assert not {"519517", "519,517"} & {*Redaction(texts_of({"pin": 519517}))(said).split()}


@pytest.mark.parametrize("value", [None, True, 0, 1, 30, -5, 550, 999, "", [], {}, {"code": None}])
def test_what_is_no_secret_hides_nothing(value):
    said = "550 5.1.1 code 30 True None, 1 of 999"
    assert Redaction(texts_of({"value": value}))(said) == said


def test_a_short_number_is_removed_as_a_word_only():
    assert Redaction(texts_of({"pin": 4821}))("550 4821, id 48210") == "550 ***, id 48210"


@pytest.mark.parametrize("value", [object(), iter(["k4n4ry"]), lambda: "k4n4ry", [object()], {"a": object()}])
def test_a_value_that_is_no_text_is_named(value):
    with pytest.raises(NoText, match="`ticket` is not a text"):
        texts_of({"code": "k4n4ry", "ticket": value})


def holding_itself():
    ring = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "value", [["a"] * MOST_VALUES, dict.fromkeys(range(MOST_VALUES), "a"), range(10**12), holding_itself()]
)
def test_too_many_values_are_refused(value):
    with pytest.raises(NoText, match="`codes` has too many values"):
        texts_of({"codes": value})


def test_lists_may_be_deep():
    value = "k4n4ry"
    for _ in range(MOST_VALUES - 1):
        value = [value]
    assert texts_of({"value": value}) == ("k4n4ry",)
