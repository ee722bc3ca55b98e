"""What an order adds up to, and what is no order."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from waypost.flows.order_confirmation import TYPE, Order
from waypost.model.validation_messages import explain

LINE = {"product": "Chai", "quantity": 2, "unit_price": "18.00"}
ORDER = {
    "order_id": "10248",
    "ordered_at": "2026-03-01",
    "currency": "EUR",
    "lines": [LINE],
    "ship_to": {"name": "Ada", "address": "1 Road", "city": "Köln", "country": "Germany"},
}


def order(**changed):
    return Order.model_validate({**ORDER, **changed})


def amounts(most):
    return st.decimals(0, most, places=6).map(lambda amount: f"{amount:f}")


LARGEST = {**LINE, "quantity": 99_999, "unit_price": "9999999999.999999", "discount": "0.000001"}
LINES = st.lists(
    st.fixed_dictionaries(
        {
            "product": st.just("Chai"),
            "quantity": st.integers(1, 100) | st.integers(1, 10**12),
            "unit_price": amounts(9_999_999_999),
            "discount": amounts(1),
        }
    ),
    min_size=1,
    max_size=6,
)


@given(LINES, amounts(9_999_999_999))
@example([{**LINE, "quantity": 3, "unit_price": "0.1", "discount": "0.15"}] * 3, "0.3")
@example([LARGEST] * 6, "0.000001")
@example([LARGEST] * 1000, "0.000001")
@example([{**LARGEST, "quantity": 10**40 + 1}], "0")
def test_totals_are_exact_to_the_last_digit_or_the_order_is_refused(lines, freight):
    try:
        made = order(lines=lines, freight=freight)
    except ValidationError:
        return
    gross = [Fraction(line["unit_price"]) * line["quantity"] for line in lines]
    net = [full * (1 - Fraction(line["discount"])) for full, line in zip(gross, lines, strict=True)]
    assert [Fraction(line.total) for line in made.lines] == net
    assert Fraction(made.subtotal) == sum(net)
    assert Fraction(made.savings) == sum(gross) - sum(net)
    assert Fraction(made.total) == sum(net) + Fraction(freight)


def test_an_ordinary_order_is_not_refused():
    assert order(lines=[{**LINE, "quantity": 1000, "unit_price": "999999.99"}] * 100).total == 99_999_999_000


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"currency": "XYZ"}, "currency"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "€"}, "currency"),
        ({"lines": []}, "lines"),
        ({"lines": [LINE] * 1001}, "lines"),
        ({"lines": [{**LINE, "quantity": -1}]}, "lines.0.quantity"),
        ({"lines": [{**LINE, "quantity": 0}]}, "lines.0.quantity"),
        ({"lines": [{**LINE, "quantity": 1.5}]}, "lines.0.quantity"),
        ({"lines": [{**LINE, "unit_price": "-0.01"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "unit_price": "0.1234567"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "unit_price": "NaN"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "unit_price": "Infinity"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "unit_price": "1e30"}]}, "lines.0.unit_price"),
        ({"lines": [{**LINE, "discount": "1.01"}]}, "lines.0.discount"),
        ({"lines": [{**LINE, "discount": "-0.1"}]}, "lines.0.discount"),
        ({"lines": [{**LINE, "product": ""}]}, "lines.0.product"),
        ({"lines": [{**LINE, "colour": "red"}]}, "lines.0.colour"),
        ({"freight": "-1"}, "freight"),
        ({"gift": True}, "gift"),
        ({"total": "1"}, "total"),
        ({"order_id": ""}, "order_id"),
        ({"ordered_at": "yesterday"}, "ordered_at"),
        ({"ship_to": {}}, "ship_to.name"),
    ],
)
def test_what_is_no_order_is_refused_by_name(changed, where):
    with pytest.raises(ValidationError) as refused:
        order(**changed)
    assert where in explain(refused.value)


def test_templates_get_the_totals_as_decimals():
    facts = order(freight="1.25").model_dump()
    assert (facts["subtotal"], facts["savings"], facts["total"]) == (36, 0, Decimal("37.25"))
    assert facts["lines"][0]["total"] == Decimal("36.00")


def test_an_order_is_the_same_after_a_stay_in_the_ledger():
    made = order()
    written = made.model_dump(mode="json", exclude_computed_fields=True)
    assert TYPE.facts.model_validate(written) == made
