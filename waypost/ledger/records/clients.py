"""The clients of the gateway that the ledger knows."""

from __future__ import annotations

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import api_keys, notifications, recipients, webhooks


class UnknownClient(LookupError):
    """The ledger has no data of a client of that name. The message tells how to list clients."""

    def __init__(self, client: str) -> None:
        super().__init__(f"there is no client {client}; `waypost keys list` shows them")


async def check(ledger: Ledger, client: str) -> None:
    """Raise UnknownClient unless the ledger has a key of `client`, even one that no longer works, or a
    recipient, notification or webhook of it. An empty `client` passes."""
    tables = (api_keys, recipients, notifications, webhooks)
    known = sa.select(sa.or_(*(sa.exists().where(table.c.client == client) for table in tables)))
    if client and not await ledger.read(lambda connection: connection.scalar(known)):
        raise UnknownClient(client)
