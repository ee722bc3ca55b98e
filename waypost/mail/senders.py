"""Whom a mail that its author finished may be from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from waypost.mail.address import folded, one_address
from waypost.mail.headers import parse_mailbox

if TYPE_CHECKING:
    from waypost.settings import Settings

NOT_ALLOWED = (
    "it is from an address that is neither at the domain of WAYPOST_SENDER nor in WAYPOST_SUBMISSION_SENDERS"
)


@dataclass(frozen=True, slots=True)
class Senders:
    """addresses: folded. domains: in lower case, as A-labels."""

    addresses: frozenset[str]
    domains: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Senders:
        """The domain of every mail's sender, and what the settings name besides. Raises ValueError."""
        return _senders(settings.sender, settings.submission_senders)

    @classmethod
    def parse(cls, text: str) -> Senders:
        """From `shop.example, billing@other.example`. Raises ValueError."""
        named = [one.strip() for one in text.split(",") if one.strip()]
        addresses = [one_address(one) for one in named if "@" in one]
        domains = [one_address(f"a@{one}").rpartition("@")[2] for one in named if "@" not in one]
        return cls(frozenset(map(folded, addresses)), frozenset(domains))

    def allow(self, addresses: Iterable[str]) -> bool:
        """Whether a mail may be from all of `addresses`."""
        return all(
            one in self.addresses or one.rpartition("@")[2] in self.domains for one in map(folded, addresses)
        )


@lru_cache(4)
def _senders(sender: str, others: str) -> Senders:
    found = Senders.parse(others)
    domain = parse_mailbox(sender)[1].rpartition("@")[2]
    return Senders(found.addresses, found.domains | {domain})
