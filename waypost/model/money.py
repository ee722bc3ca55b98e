"""Exact amounts and known currencies."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import lru_cache, partial
from typing import Annotated

from babel.numbers import is_currency, list_currencies
from pydantic import AfterValidator, Field, WithJsonSchema

# Computing inside `exact()` never rounds: 100 digits hold any product and sum of the amounts below.
exact = partial(localcontext, prec=100)

CURRENCIES = sorted(list_currencies())  # ISO 4217 codes, those of the past among them

Amount = Annotated[Decimal, Field(ge=0, max_digits=16, decimal_places=6)]


@lru_cache(1024)
def known_currency(code: str) -> str:
    """`code` if it is an ISO 4217 currency. Raises ValueError."""
    if not is_currency(code):
        raise ValueError("not an ISO 4217 currency such as EUR")
    return code


Currency = Annotated[
    str,
    Field(max_length=3),
    AfterValidator(known_currency),
    # Prefect's form offers these alone.
    WithJsonSchema({"type": "string", "enum": CURRENCIES, "examples": ["EUR"]}),
]
