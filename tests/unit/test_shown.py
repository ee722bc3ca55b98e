"""A recipient in lists and in Prefect: no address is shown in full."""

import pytest

from waypost.ledger.operations.stats import shown


@pytest.mark.parametrize(
    "number", ["01701", "017012", "0170123", "01701234", "017012345", "+491234567", "4912345678901"]
)
def test_no_number_is_shown_in_full(number):
    assert number not in shown(f"tel:{number}", None, number)
    assert number not in shown(f"tel:{number}", None, None)


@pytest.mark.parametrize("address", ["a@b.example", "ada.lovelace@shop.example", '"a b"@b.example'])
def test_no_address_is_shown_in_full(address):
    assert address not in shown(f"mailto:{address}", address, None)
    assert address not in shown(f"mailto:{address}", None, None)


def test_an_id_of_the_application_is_shown():
    assert shown("order-7", "a@b.example", None) == "order-7 ***@b.example"
