"""The brands of Prefect's blocks are kept in the ledger, on both databases."""

import pytest
from support.ledger import run_sql

from waypost.ledger.records import kept_brands

pytestmark = pytest.mark.anyio
ACME = {"sender": "Acme <a@acme.test>", "footer": ["é"], "providers": {"email": ["ses"]}}


async def test_they_are_read_as_they_were_written(ledger):
    assert await kept_brands.read(ledger) == {}
    await kept_brands.write(ledger, {"acme": ACME, "two": {"sender": "t@two.test"}})
    await kept_brands.write(ledger, {"acme": ACME})
    assert await kept_brands.read(ledger) == {"acme": ACME}
    await kept_brands.write(ledger, {})
    assert await kept_brands.read(ledger) == {}


async def test_a_row_that_cannot_be_read_has_none(ledger):
    await kept_brands.write(ledger, {"acme": ACME})
    await run_sql(ledger, "UPDATE installation SET value = 'nonsense' WHERE name = 'brand blocks'")
    assert await kept_brands.read(ledger) == {}
