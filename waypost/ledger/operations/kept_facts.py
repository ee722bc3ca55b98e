"""Reading the newest notifications with their facts, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import notifications
from waypost.ledger.queue.recipient_rows import WITH_RECIPIENT, notification_of, opened
from waypost.model.notification import Notification

PAGE = 200


@dataclass(frozen=True, slots=True)
class Defaults:
    """What counts for a recipient who has none."""

    locale: str
    timezone: str


async def newest(
    ledger: Ledger, types: Collection[str], last: int, defaults: Defaults
) -> AsyncIterator[Notification]:
    """At most `last` notifications of the types, the newest first. Those without their facts or recipient,
    those that cannot be read, and those that went with a digest are left out."""
    before: UUID | None = None
    while last > 0:
        ids = await ledger.browse(partial(_ids, types=types, before=before))
        if not ids:
            return
        for one in await ledger.browse(partial(_read, ids=ids, defaults=defaults)):
            yield one
            last -= 1
            if last == 0:
                return
        before = ids[-1]


def _ids(connection: sa.Connection, types: Collection[str], before: UUID | None) -> list[UUID]:
    table = notifications.c
    wanted = sa.select(*tolerant.raw(table.id)).where(table.type.in_(types), table.digest_id.is_(None))
    if before is not None:
        wanted = wanted.where(table.id < before)
    return tolerant.ids(connection, wanted.order_by(table.id.desc()).limit(PAGE))


def _read(connection: sa.Connection, ids: list[UUID], defaults: Defaults) -> list[Notification]:
    wanted = WITH_RECIPIENT.where(in_ids(notifications.c.id, ids)).order_by(notifications.c.id.desc())
    read = partial(opened, sealing.of(connection))
    rows = tolerant.each(connection, wanted, [notifications.c.id], read).good
    kept = (row for row in rows if row.key is not None and row.named != {})
    found = (notification_of(row, defaults.locale, defaults.timezone) for row in kept)
    return [one for one in found if one is not None]
