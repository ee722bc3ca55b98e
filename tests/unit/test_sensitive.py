"""Sensitive facts are found at any depth, and placeholders of the same kind stand for them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import Field, computed_field
from typing_extensions import TypeAliasType

from waypost import Facts, Link, Moment, Sensitive, Text
from waypost.model.money import Amount
from waypost.model.sensitive import sensitive_values, without_sensitive


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
