"""The senders allowed in a mail that its author finished."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from waypost.mail.address import folded, one_address

NOT_ALLOWED = (
    "sender not allowed; use an address at the domain of WAYPOST_SENDER, or add it to "
    "WAYPOST_SUBMISSION_SENDERS"
)


@dataclass(frozen=True, slots=True)
class Senders:
    """addresses: folded. domains: in lower case, as A-labels."""

    addresses: frozenset[str]
    domains: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Senders:
        """Parse `shop.example, billing@other.example`. Raises ValueError."""
        named = [one.strip() for one in text.split(",") if one.strip()]
        addresses = [one_address(one) for one in named if "@" in one]
        domains = [one_address(f"a@{one}").rpartition("@")[2] for one in named if "@" not in one]
        return cls(frozenset(map(folded, addresses)), frozenset(domains))

    def allow(self, addresses: Iterable[str]) -> bool:
        """Whether a mail may be from all of `addresses`."""
        return all(
            one in self.addresses or one.rpartition("@")[2] in self.domains for one in map(folded, addresses)
        )
