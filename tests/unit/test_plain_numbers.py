"""A number in the facts of a type is a JSON number, or a text of digits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from waypost import Facts
from waypost.deployments.registry import registered
from waypost.model.money import Amount


class Inner(Facts):
    amount: Amount


class Outer(Facts):
    count: int = 0
    share: float | None = None
    sums: dict[str, list[Amount]] | None = None
    inner: list[Inner] | None = None
    sure: bool = False


def numbers_of(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str]]:
    """Each field of a model, and of those inside it, that its JSON Schema calls a number."""
    for name, field in model.model_fields.items():
        schema = model.model_json_schema()["properties"][name]
        kinds = {one.get("type") for one in (schema, *schema.get("anyOf", []))}
        if kinds & {"number", "integer"}:
            yield model, name
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from numbers_of(inner)


SHIPPED = [found for one in registered().values() for found in numbers_of(one.type.facts)]


def wrong(model: type[BaseModel], text: str) -> list[tuple[object, ...]]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate_json(text)
    return [error["loc"] for error in refused.value.errors() if error["type"] != "missing"]


@pytest.mark.parametrize("value", ["true", "false", '"1_0"', '"1_0.5"'])
@pytest.mark.parametrize(("model", "field"), [*SHIPPED, (Outer, "count"), (Outer, "share")])
def test_neither_true_nor_an_underscore_is_a_number(model, field, value):
    assert wrong(model, f'{{"{field}": {value}}}') == [(field,)]


def test_numbers_deep_inside_are_looked_at_too():
    assert wrong(Outer, '{"inner": [{"amount": true}]}') == [("inner", 0, "amount")]
    assert wrong(Outer, '{"sums": {"a": ["1", "1_0"]}}') == [("sums", "a", 1)]


def test_numbers_and_texts_of_digits_are_taken():
    found = Outer.model_validate_json(
        '{"count": "12", "share": 0.5, "sums": {"a": [1, "1.25"]}, "sure": true, "inner": [{"amount": 3}]}'
    )
    assert (found.count, found.share, found.sums) == (12, 0.5, {"a": [1, Decimal("1.25")]})
    assert Outer.model_validate(found.model_dump()) == found


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, str(2**64), 10**40])
def test_an_integer_has_64_bits(number):
    """Prefect cannot list a run whose parameters have a larger integer."""
    with pytest.raises(ValidationError):
        Outer(count=number)
    assert Outer(count=2**63 - 1).count == 2**63 - 1
    assert Outer.model_json_schema()["properties"]["count"]["maximum"] == 2**63 - 1
