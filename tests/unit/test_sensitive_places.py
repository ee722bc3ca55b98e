"""Where the mark of a sensitive fact counts, and where a declaration with it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar

import pytest
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    computed_field,
)
from support.shipped_mails import TYPES
from typing_extensions import TypeAliasType, TypedDict

from waypost import Facts, Sensitive, Text
from waypost.model.sensitive import has_sensitive, may_have_sensitive, misplaced_marks
from waypost.model.sensitive_values import sensitive_values, without_sensitive
from waypost.model.validation_messages import explain

SECRET = "k4n4ry"
Kind = TypeVar("Kind")


class Card(Facts):
    number: Annotated[Text, Sensitive()] = SECRET


class Loose(BaseModel):
    numbers: Annotated[dict[str, int], Sensitive()] = Field({SECRET: 1})


@dataclass
class InDataclass:
    card: Card


@dataclass
class InBox(Generic[Kind]):
    card: Kind


class InDictionary(TypedDict):
    card: Card


class InTuple(NamedTuple):
    card: Card


class InExtra(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Card]


class Base(Facts):
    pass


class Derived(Base):
    card: Card


Any_Base = Annotated[SerializeAsAny[Base], BeforeValidator(lambda one: Derived(**one))]


def _facts(kind: Any) -> type[Facts]:
    return type("Outer", (Facts,), {"__annotations__": {"value": kind}})


@pytest.mark.parametrize(
    "kind",
    [InDataclass, InBox[Card], InDictionary, InTuple, InExtra, Any_Base, list[dict[str, InDataclass]]],
    ids=lambda kind: getattr(kind, "__name__", ""),
)
def test_a_mark_counts_in_models_that_any_holder_has(kind):
    value = {"card": {"number": SECRET}}
    facts = _facts(kind)(value=[{"a": value}] if kind == list[dict[str, InDataclass]] else value)
    assert misplaced_marks(type(facts)) == []
    assert sensitive_values(facts) == {"number": [SECRET]}
    assert SECRET in f"{facts.model_dump()}"
    assert SECRET not in f"{without_sensitive(facts).model_dump()}"


class LooseHolder(TypedDict):
    loose: Loose


def test_an_error_in_a_model_that_a_holder_has_names_no_key():
    with pytest.raises(ValidationError) as refused:
        _facts(list[LooseHolder])(value=[{"loose": {"numbers": {SECRET: "x"}}}])
    assert SECRET not in explain(refused.value)


Written = TypeAliasType("Written", "Annotated[str, Sensitive()]")
Deep = TypeAliasType("Deep", "list[Written]")
Tree = TypeAliasType("Tree", "dict[str, Tree] | Written")


class Aliases(Facts):
    written: Written = SECRET
    deep: Deep = Field([SECRET])
    tree: Tree = Field({"a": {"b": SECRET}})
    text: list["Annotated[str, Sensitive()]"] = Field([SECRET])  # noqa: UP037


def test_a_mark_counts_in_an_alias_that_is_written_as_a_text_or_refers_to_itself():
    assert sensitive_values(Aliases()).keys() == {"written", "deep", "tree", "text"}
    assert SECRET not in f"{without_sensitive(Aliases()).model_dump()}"


class Computed(Facts):
    account: str = SECRET

    @computed_field
    @property
    def last(self) -> Annotated[str, Sensitive()]:
        return self.account[-4:]


class MarkedExtra(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[str, Sensitive()]]


@dataclass
class Deeper:
    inner: MarkedExtra | Computed


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (Computed, ["Computed.last"]),
        (MarkedExtra, ["MarkedExtra.__pydantic_extra__"]),
        (list[Deeper], ["Computed.last", "MarkedExtra.__pydantic_extra__"]),
    ],
)
def test_a_mark_that_cannot_count_is_named(kind, named):
    assert misplaced_marks(_facts(kind)) == named


class Address(TypedDict):
    street: str
    zip: NotRequired[int]


class Cash(Facts):
    kind: Literal["cash"] = "cash"
    purpose: Text = SECRET


class Wire(Facts):
    kind: Literal["wire", "sepa"] = "sepa"
    iban: Text = SECRET


class CashEntry(TypedDict):
    kind: Literal["cash"]
    purpose: str


class WireEntry(TypedDict):
    kind: Literal["wire"]
    iban: str


@pytest.mark.parametrize(
    ("kind", "value", "dumped"),
    [
        (Address, {"street": SECRET, "zip": 4711}, {"street": "[street]", "zip": 1}),
        (list[Address], [{"street": SECRET}], [{"street": "[street]"}]),
        (dict[str, Address], {SECRET: {"street": SECRET}}, {"[value]": {"street": "[street]"}}),
        (Cash | Wire, {"kind": "cash"}, {"kind": "cash", "purpose": "[purpose]"}),
        (Cash | Wire, {"kind": "sepa"}, {"kind": "wire", "iban": "[iban]"}),
        (CashEntry | WireEntry, {"kind": "wire", "iban": SECRET}, {"kind": "wire", "iban": "[iban]"}),
        (Literal["low", "high"], "high", "low"),
    ],
)
def test_what_the_code_itself_says_of_a_sensitive_value_stays(kind, value, dumped):
    facts = _facts(Annotated[kind, Sensitive()])
    covered = without_sensitive(facts(value=value)).model_dump()
    assert covered == {"value": dumped}
    assert facts(**covered)


@pytest.mark.parametrize("type", sorted(set(TYPES) - {"message"}))
def test_the_facts_of_shipped_types_without_marks_are_not_walked_for_each_mail(type):
    assert may_have_sensitive(TYPES[type].facts) == has_sensitive(TYPES[type].facts)
