"""Checks the client that an option names."""

from __future__ import annotations

from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.records import clients


async def check_client(ledger: Ledger, client: str | None) -> None:
    """Raise UnknownClient for a client without a key or other data in the ledger, such as a misspelt name.
    With WAYPOST_OIDC_ISSUER every name passes: an issuer's clients have no key."""
    if client and Settings().oidc_issuer is None:
        await clients.check(ledger, client)
