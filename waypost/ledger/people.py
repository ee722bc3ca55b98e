"""Recipients as the ledger knows them: told in full, and forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from waypost.clock import now
from waypost.ledger.engine import Ledger
from waypost.ledger.tables import recipients, verifications
from waypost.request import Recipient

FIELDS = ("email", "phone", "name", "locale", "timezone")


async def put(ledger: Ledger, recipient: Recipient) -> bool:
    """Keep exactly what `recipient` says: what it leaves out is unknown from now on. Whether it is new."""
    told = {field: getattr(recipient, field) for field in FIELDS}
    row = {"key": recipient.key, "updated_at": now(), **told}

    def work(connection: sa.Connection) -> bool:
        known = connection.execute(
            sa.select(recipients).where(recipients.c.key == recipient.key)
        ).one_or_none()
        insert = ledger.insert(recipients).values(row)
        changed = {name: insert.excluded[name] for name in row if name != "key"}
        connection.execute(insert.on_conflict_do_update(index_elements=[recipients.c.key], set_=changed))
        return known is None or not _known(known)

    return await ledger.write(work)


async def get(ledger: Ledger, key: str) -> dict[str, Any] | None:
    """What is known of a recipient; None of one that nothing is known of, or that was forgotten."""
    wanted = sa.select(recipients).where(recipients.c.key == key)
    row = await ledger.read(lambda connection: connection.execute(wanted).one_or_none())
    if row is None or not _known(row):
        return None
    updated_at: datetime = row.updated_at
    return {"id": row.key, **{field: getattr(row, field) for field in FIELDS}, "updated_at": updated_at}


async def forget(ledger: Ledger, key: str) -> bool:
    """Forget all that is known of a recipient, and where codes went; whether anything was. The id itself
    stays: notifications name it."""
    table = recipients

    def work(connection: sa.Connection) -> bool:
        row = connection.execute(sa.select(table).where(table.c.key == key).with_for_update()).one_or_none()
        if row is None:
            return False
        blank = {**dict.fromkeys(FIELDS), "updated_at": now()}
        connection.execute(sa.update(table).where(table.c.key == key).values(blank))
        connection.execute(sa.delete(verifications).where(verifications.c.recipient_key == key))
        return _known(row)

    return await ledger.write(work)


def _known(row: Any) -> bool:
    return any(getattr(row, field) is not None for field in FIELDS)
