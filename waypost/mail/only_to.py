"""The only addresses that the requests of an API key may go to: a test key's, or a team's."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from waypost.mail.address import address_or_number, folded, one_address


def parsed(text: str) -> str:
    """An entry as it is kept: `ada@shop.example` or a phone number, folded, or `@shop.example` for all
    addresses at a domain. Raises ValueError with a reason that never repeats `text`."""
    written = text.strip()
    if written.startswith("@"):
        return f"@{_domain(one_address(f'a{written}'))}"
    return address_or_number(written)


def allows(only_to: Iterable[str], address: str) -> bool:
    """Whether `address` is one of `only_to`, which are parsed, or at one of its domains."""
    known = set(only_to)
    return folded(address) in known or ("@" in address and f"@{_domain(folded(address))}" in known)


@lru_cache(256)
def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()
