"""The client that an option names, looked up."""

from __future__ import annotations

from waypost.config.settings import Settings
from waypost.ledger import Ledger
from waypost.ledger.records import clients


async def check_client(ledger: Ledger, client: str | None) -> None:
    """Raise UnknownClient for a client of which there is no key and nothing else, as of a misspelt name. An
    issuer's clients have no key: where an issuer is set, every name passes."""
    if client and Settings().oidc_issuer is None:
        await clients.check(ledger, client)
