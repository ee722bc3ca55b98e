"""Recipients, each client with its own: stored, read and forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import (
    IN_HAND,
    NOT_IN_HAND,
    JsonOrNull,
    notifications,
    recipients,
    verifications,
)
from waypost.model.request import FIELDS, Recipient
from waypost.model.states import State
from waypost.system.clock import now

FORGOTTEN = "its recipient was forgotten while it waited: there is no address any more"
Who = tuple[str, str]  # a client (empty for none) and its key for a recipient


async def put(ledger: Ledger, recipient: Recipient, client: str = "") -> bool:
    """Store exactly what `recipient` says: omitted fields become unknown. Returns whether it is new."""
    told = {field: getattr(recipient, field) for field in FIELDS}
    row = {"client": client, "key": recipient.key, "updated_at": now(), **told}

    def work(connection: sa.Connection) -> bool:
        known = connection.execute(sa.select(recipients).where(_is(client, recipient.key))).one_or_none()
        insert = ledger.insert(recipients).values(row)
        changed = {name: insert.excluded[name] for name in ("updated_at", *FIELDS)}
        connection.execute(insert.on_conflict_do_update(index_elements=_KEY, set_=changed))
        return known is None or not _known(known)

    return await ledger.write(work)


_KEY = [recipients.c.client, recipients.c.key]


async def get(ledger: Ledger, key: str, client: str = "") -> dict[str, Any] | None:
    """The fields of a recipient; None when all of them are unknown, or the recipient was forgotten."""
    wanted = sa.select(recipients).where(_is(client, key))
    row = await ledger.read(lambda connection: connection.execute(wanted).one_or_none())
    if row is None or not _known(row):
        return None
    updated_at: datetime = row.updated_at
    return {"id": row.key, **{field: getattr(row, field) for field in FIELDS}, "updated_at": updated_at}


async def forget(ledger: Ledger, key: str, client: str = "") -> bool:
    """Forget a recipient, what its notifications say of it, and its codes. Returns whether any field was
    known. Notifications keep the recipient's id; a key that is an address is replaced by a random one.
    Waiting notifications to the recipient fail when their turn comes, and say why."""

    def work(connection: sa.Connection) -> bool:
        row = connection.execute(
            sa.select(recipients).where(_is(client, key)).with_for_update()
        ).one_or_none()
        if row is None:
            return False
        connection.execute(sa.delete(recipients).where(_is(client, key)))
        theirs = notifications_of(client, key)
        ids = sa.select(notifications.c.id).where(theirs)
        connection.execute(sa.delete(verifications).where(verifications.c.notification_id.in_(ids)))
        blank: dict[str, Any] = {
            "named": sa.case((notifications.c.named.is_not(None), sa.literal({}, JsonOrNull)))
        }
        if is_address(key):
            blank["recipient_key"] = f"forgotten:{uuid4().hex}"
        connection.execute(sa.update(notifications).where(theirs).values(blank))
        return _known(row)

    return await ledger.write(work)


async def waiting(ledger: Ledger, key: str, client: str = "") -> int:
    """How many notifications to a recipient wait for a run, a retry, a digest or a person."""
    waits = (State.ACCEPTED, State.DEFERRED, State.HELD)
    theirs = notifications_of(client, key), notifications.c.state.in_(waits)
    wanted = sa.select(sa.func.count()).select_from(notifications).where(*theirs)
    return await ledger.read(lambda connection: connection.scalar(wanted) or 0)


def is_address(key: str) -> bool:
    """Whether the key of a recipient is an address; no id looks like one."""
    return key.startswith(("mailto:", "tel:"))


def notifications_of(client: str, key: str) -> sa.ColumnElement[bool]:
    """Whether a notification is for that recipient; written so that two indexes are used."""
    table = notifications.c
    whose = table.client == client if client else table.client.is_(None)
    theirs = sa.and_(whose, table.recipient_key == key)
    return sa.or_(sa.and_(theirs, NOT_IN_HAND), sa.and_(IN_HAND, theirs))


def rows_of(connection: sa.Connection, wanted: Collection[Who]) -> dict[Who, Any]:
    """The rows of the recipients in `wanted`, with one query per client."""
    by_client: defaultdict[str, list[str]] = defaultdict(list)
    for client, key in wanted:
        by_client[client].append(key)
    found: dict[Who, Any] = {}
    for client, keys in by_client.items():
        mine = sa.select(recipients).where(recipients.c.client == client, recipients.c.key.in_(keys))
        found |= {(row.client, row.key): row for row in connection.execute(mine)}
    return found


def _is(client: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(recipients.c.client == client, recipients.c.key == key)


def _known(row: Any) -> bool:
    return any(getattr(row, field) is not None for field in FIELDS)
