"""The clients of the gateway, as far as the ledger knows of them."""

from __future__ import annotations

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import api_keys, notifications, recipients, webhooks


class UnknownClient(LookupError):
    """The ledger has nothing of a client of that name. Says where they are shown."""

    def __init__(self, client: str) -> None:
        super().__init__(f"there is no client {client}; `waypost keys list` shows them")


async def check(ledger: Ledger, client: str) -> None:
    """Raise UnknownClient unless there is a key of `client`, also one that no longer works, or anything that
    came with one: a recipient, a notification, a webhook. No client at all passes."""
    tables = (api_keys, recipients, notifications, webhooks)
    known = sa.select(sa.or_(*(sa.exists().where(table.c.client == client) for table in tables)))
    if client and not await ledger.read(lambda connection: connection.scalar(known)):
        raise UnknownClient(client)
