"""Sensitive facts are found at any depth, and placeholders of the same kind stand for them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr, ValidationError, computed_field
from typing_extensions import TypeAliasType, TypedDict

from waypost import Category, Facts, Link, Moment, NotificationType, Request, Sensitive, Text
from waypost.model.money import Amount
from waypost.model.sensitive_values import sensitive_values, without_sensitive
from waypost.model.validation_messages import explain
from waypost.policy.redaction.minted_texts import texts_of


class Card(Facts):
    number: Annotated[Text, Sensitive()]
    brand: Text


class Payment(Facts):
    product: Text
    account: Annotated[str, Field(pattern="^[A-Z]{2}[0-9]+$"), Sensitive()]
    page: Annotated[Link, Sensitive()] | None = None
    born: Annotated[date, Sensitive()] = date(1990, 5, 17)
    at: Annotated[Moment, Sensitive()] = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
    amount: Annotated[Amount, Sensitive()] = Decimal("1190.50")
    pin: Annotated[int, Sensitive()] = 4821
    notes: Annotated[list[str], Sensitive()] = Field(["k4n4ry"])
    cards: list[Card] = Field([])
    by_name: dict[str, Card] = Field({})

    @computed_field
    @property
    def last(self) -> str:
        return self.account[-4:]


class Plain(Facts):
    inner: list[dict[str, Any]] = Field([])


FACTS = {
    "product": "Harbour",
    "account": "DE4711",
    "cards": [{"number": "4111-1111", "brand": "Visa"}],
    "by_name": {"first": {"number": "5500-0000", "brand": "Master"}},
}
SECRET = ("DE4711", "4711", "4111-1111", "5500-0000", "1990", "1190", "4821", "k4n4ry", "2026")


def test_the_values_of_every_sensitive_fact_are_found():
    assert sensitive_values(Payment(**FACTS)) == {
        "account": ["DE4711"],
        "born": [date(1990, 5, 17)],
        "at": [datetime(2026, 3, 1, 8, 30, tzinfo=UTC)],
        "amount": [Decimal("1190.50")],
        "pin": [4821],
        "notes": [["k4n4ry"]],
        "number": ["4111-1111", "5500-0000"],
    }


def test_placeholders_are_of_the_same_kind_and_say_nothing():
    covered = without_sensitive(Payment(**FACTS)).model_dump()
    assert not [one for one in SECRET if one in repr(covered)]
    assert covered == {
        "product": "Harbour",
        "account": "[account]",
        "page": None,
        "born": date(2000, 1, 1),
        "at": datetime(2000, 1, 1, tzinfo=UTC),
        "amount": 1,
        "pin": 1,
        "notes": ["[notes]"],
        "cards": [{"number": "[number]", "brand": "Visa"}],
        "by_name": {"first": {"number": "[number]", "brand": "Master"}},
        "last": "unt]",
    }
    assert Payment(**FACTS).account == "DE4711"


def test_a_mark_inside_a_choice_counts():
    made = Payment(**FACTS, page="https://a.example/token-k4n4ry")
    assert str(sensitive_values(made)["page"][0]) == "https://a.example/token-k4n4ry"
    assert without_sensitive(made).model_dump()["page"] == "https://waypost.invalid/page"


@pytest.mark.parametrize("facts", [Plain(), Plain(inner=[{"a": 1}])])
def test_facts_without_a_mark_are_left_as_they_are(facts):
    assert without_sensitive(facts) is facts
    assert sensitive_values(facts) == {}


def test_the_forms_know_a_sensitive_text_as_a_password():
    fields = Payment.model_json_schema(mode="validation")["properties"]
    assert (fields["account"]["writeOnly"], fields["account"]["format"]) == (True, "password")
    assert (fields["born"]["writeOnly"], fields["born"]["format"]) == (True, "date")
    assert "writeOnly" not in fields["product"]


Iban = TypeAliasType("Iban", Annotated[str, Sensitive()])


class Pair(NamedTuple):
    left: int
    right: int


class Odd(Facts):
    iban: Iban = "DE4711"
    bare: Annotated[str, Sensitive] = "k4n4ry"
    diagnoses: Annotated[dict[str, int], Sensitive()] = Field({"measles": 1, "mumps": 2})
    page: Annotated[str, Sensitive()] = "https://[not a host"
    none: Annotated[list[str], Sensitive()] = Field([])
    pairs: list[Pair] = Field([Pair(1, 2)])


def test_a_mark_counts_in_an_alias_without_parentheses_and_for_the_keys_of_a_mapping():
    assert Odd.model_json_schema()["properties"]["bare"]["writeOnly"]
    found = sensitive_values(Odd())
    assert (found["iban"], found["bare"]) == (["DE4711"], ["k4n4ry"])
    assert found["diagnoses"] == [["measles", "mumps", 1, 2]]
    covered = without_sensitive(Odd())
    assert covered.diagnoses == {"[diagnoses]": 1, "[diagnoses] 2": 1}
    assert (covered.iban, covered.page, covered.none) == ("[iban]", "[page]", [])
    assert covered.pairs == [Pair(1, 2)]


class Colour(Enum):
    FIRST = "first"
    RED = "k4n4ry"


class Mood(StrEnum):
    FIRST = "first"
    GOOD = "k4n4ry"


class Level(IntEnum):
    FIRST = 1
    HIGH = 4711


@dataclass(frozen=True)
class Place:
    street: str
    number: int


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Colour, Colour.RED),
        (Mood, Mood.GOOD),
        (Level, Level.HIGH),
        (UUID, UUID("0199c2f0-7d1a-7b3c-8d2e-5f6a7b8c9d0e")),
        (time, time(8, 30)),
        (date, date(1990, 5, 17)),
        (datetime, datetime(2026, 3, 1, 8, 30)),
        (Moment, datetime(2026, 3, 1, 8, 30, tzinfo=UTC)),
        (timedelta, timedelta(minutes=4711)),
        (Decimal, Decimal("47.11")),
        (Fraction, Fraction(4711, 13)),
        (float, 47.11),
        (int, 4711),
        (bool, True),
        (bytes, b"k4n4ry"),
        (SecretStr, SecretStr("k4n4ry")),
        (SecretBytes, SecretBytes(b"k4n4ry")),
        (Path, Path("/k4n4ry")),
        (Link, "https://a.example/k4n4ry"),
        (IPv4Address, IPv4Address("192.0.2.7")),
        (IPv6Address, IPv6Address("2001:db8::7")),
        (IPv4Interface, IPv4Interface("192.0.2.7/24")),
        (IPv4Network, IPv4Network("192.0.2.0/24")),
        (IPv6Network, IPv6Network("2001:db8::/32")),
        (Literal["b", "k4n4ry"], "k4n4ry"),
        (list[Colour], [Colour.RED]),
        (deque[UUID], deque([UUID("0199c2f0-7d1a-7b3c-8d2e-5f6a7b8c9d0e")])),
        (tuple[time, ...], (time(8, 30),)),
        (frozenset[int], frozenset([4711])),
        (Place, Place("k4n4ry", 4711)),
        (Card, {"number": "4111", "brand": "Visa"}),
    ],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
def test_every_kind_of_fact_can_be_removed_from_replies_and_has_a_placeholder_of_its_kind(kind, value):
    model = type("Kind", (Facts,), {"__annotations__": {"secret": Annotated[kind, Sensitive()]}})
    facts = model(secret=value)
    texts_of(sensitive_values(facts))
    placeholder = without_sensitive(facts).secret
    assert isinstance(facts.secret, type(placeholder))
    assert "k4n4ry" not in repr(placeholder)
    assert "4711" not in repr(placeholder)
    assert without_sensitive(facts).model_dump_json()


class Cash(Facts):
    kind: Literal["cash"]
    sum: int


class Wire(Facts):
    kind: Literal["wire"]
    iban: Text = Field(alias="accountNumber")


class Loose(BaseModel):
    by_name: Annotated[dict[str, int], Sensitive()] = Field({})


class Medical(Facts):
    by_name: Annotated[dict[str, int], Sensitive()] = Field({})
    marked_inside: dict[str, Annotated[int, Sensitive()]] | None = None
    deep: Annotated[dict[str, dict[str, list[int]]], Sensitive()] = Field({})
    by_number: Annotated[dict[int, int], Sensitive()] = Field({})
    paid: Annotated[Annotated[Cash | Wire, Field(discriminator="kind")], Sensitive()] | None = None
    all_paid: list[Annotated[Annotated[Cash | Wire, Field(discriminator="kind")], Sensitive()]] = Field([])
    loose: Loose | None = None
    inner: list[Medical] = Field([])
    code: Annotated[str, Field(pattern="^[A-Z]+$", max_length=9), Sensitive()] = "X"
    open: dict[str, int] = Field({})


K = "k4n4ry"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"by_name": {K: "x"}}, "data.by_name.***: not a whole number"),
        ({"marked_inside": {K: "x"}}, "data.marked_inside.***: not a whole number"),
        ({"deep": {K: {K: [1, "x"]}}}, "data.deep.***.***.1: not a whole number"),
        ({"by_number": {K: 1}}, "data.by_number.***.[key]: not a whole number"),
        ({"paid": {"kind": K}}, "data.paid: its 'kind' is not one of 'cash', 'wire'"),
        ({"paid": {}}, "data.paid: without 'kind'"),
        ({"paid": {"kind": "cash", K: 1, "sum": 1}}, "data.paid.***.***: no such field"),
        ({"paid": {"kind": "wire"}}, "data.paid.***.accountNumber: missing"),
        ({"all_paid": [{"kind": K}]}, "data.all_paid.0: its 'kind' is not one of 'cash', 'wire'"),
        ({"loose": {"by_name": {K: "x"}}}, "data.loose.by_name.***: not a whole number"),
        ({"inner": [{"by_name": {K: "x"}}]}, "data.inner.0.by_name.***: not a whole number"),
        ({"code": K}, "data.code: not of the form ^[A-Z]+$"),
        ({"code": "X" * 10}, "data.code: longer than 9 characters"),
        ({"open": {"shown": "x"}}, "data.open.shown: not a whole number"),
    ],
)
def test_an_error_of_a_sensitive_fact_names_neither_its_keys_nor_its_values(facts, said):
    with pytest.raises(ValidationError) as refused:
        Request[Medical].model_validate({"recipient": {"id": "ada"}, "data": facts})
    assert explain(refused.value) == said
    whole = f"{refused.value} {refused.value.errors(include_input=False)}"
    assert K not in whole


def test_a_covered_error_leaves_defaults_schemas_and_serialization_as_they_are():
    made = Medical(by_name={"a": 1})
    assert Medical().by_name == {}
    assert made.model_dump()["by_name"] == {"a": 1}
    assert Medical.model_validate_json(made.model_dump_json(by_alias=True)) == made
    schema = Medical.model_json_schema()["$defs"]["Medical"]["properties"]["by_name"]
    assert (schema["type"], schema["writeOnly"]) == ("object", True)


class Marked(NamedTuple):
    left: Annotated[int, Sensitive()]
    right: int


class Entry(TypedDict):
    iban: Annotated[str, Sensitive]
    pairs: list[Marked]


@dataclass
class Record:
    entry: Entry | None
    pin: Annotated[int, Sensitive()] | None = None


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (Marked, "Marked.left"),
        (list[Entry], "Entry.iban, Marked.left"),
        (dict[str, Record | None], "Entry.iban, Marked.left, Record.pin"),
        (Annotated[Pair, Sensitive()], ""),
        (Place, ""),
    ],
)
def test_a_mark_where_it_has_no_effect_is_refused_by_the_declaration(kind, named):
    inner = type("Inner", (Facts,), {"__annotations__": {"value": kind}})
    facts = type("Outer", (Facts,), {"__annotations__": {"inner": inner}})
    terms = {"category": Category.ALERT, "route": ("email",), "deadline": timedelta(hours=1)}
    if not named:
        NotificationType(name="note", facts=facts, **terms)
        return
    with pytest.raises(ValidationError) as refused:
        NotificationType(name="note", facts=facts, **terms)
    assert f"Sensitive() has no effect at {named}; mark a field of a class derived from Facts" in str(
        refused.value
    )
