"""The clients of the gateway that the ledger knows."""

from __future__ import annotations

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import api_keys, notifications, recipients, webhooks


async def senders(ledger: Ledger) -> tuple[str, ...]:
    """The clients that notifications are from. One index lookup for each."""

    def work(connection: sa.Connection) -> tuple[str, ...]:
        found, last = list[str](), ""
        while last is not None:
            wanted = sa.select(sa.func.min(notifications.c.client)).where(notifications.c.client > last)
            last = connection.scalar(wanted)
            found += [] if last is None else [last]
        return tuple(found)

    return await ledger.read(work)


class UnknownClient(LookupError):
    """The ledger has no data of a client of that name. The message tells how to list clients."""

    def __init__(self, client: str) -> None:
        super().__init__(f"unknown client {client}; `waypost keys list` shows all clients")


async def check(ledger: Ledger, client: str) -> None:
    """Raise UnknownClient unless the ledger has a key of `client`, even one that no longer works, or a
    recipient, notification or webhook of it. An empty `client` passes."""
    tables = (api_keys, recipients, notifications, webhooks)
    known = sa.select(sa.or_(*(sa.exists().where(table.c.client == client) for table in tables)))
    if client and not await ledger.read(lambda connection: connection.scalar(known)):
        raise UnknownClient(client)
