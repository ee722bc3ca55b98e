"""The plan of a digest: which held items go together, and which digests are made in one step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.steps import MOST, MOST_BYTES, portions, read_bytes
from waypost.ledger.database.tables import FOR_DIGEST, notifications
from waypost.ledger.queue import damaged_rows
from waypost.ledger.records.recipients import Who, addresses_of
from waypost.mail.address import folded
from waypost.model.notification import HeldItem
from waypost.model.notification_type import NotificationType
from waypost.system.clock import now

MOST_ITEMS = MOST  # of a digest, which is made in one step
RECIPIENTS_AT_ONCE = 200
PLANNED_AT_ONCE = 1000
FETCHED_AT_ONCE = 200  # rows that are converted without a pause, on PostgreSQL's event loop

Compose = Callable[[Sequence[HeldItem], datetime], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Window:
    """What one call of `bundle` takes: items that were accepted, and are due, by `until`."""

    digest: NotificationType
    of: str
    compose: Compose
    until: datetime

    def waiting(self) -> tuple[sa.ColumnElement[bool], ...]:
        table = notifications.c
        return (
            table.type == self.of,
            FOR_DIGEST,
            table.due_at <= self.until,
            table.accepted_at <= self.until,
            table.expires_at > now(),
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """An item, and with which others it is bundled (`bundled_with`)."""

    id: UUID
    to: tuple[Any, ...]
    accepted_at: datetime
    bytes: int


async def plans(ledger: Ledger, window: Window) -> AsyncGenerator[list[Planned]]:
    """All items, those of a client's recipient together. If one recipient has more than PLANNED_AT_ONCE, its
    next items are read once the caller has taken the first."""
    table, after = notifications.c, ""
    while True:
        found = await ledger.read(partial(_planned, window, (table.recipient_key > after,)))
        if len(found) < PLANNED_AT_ONCE:
            yield [one for _, one in found]
            return
        last = found[-1][0]
        if whole := [one for key, one in found if key != last]:
            yield whole
            after = found[len(whole) - 1][0]
            continue
        for client in await ledger.read(partial(_clients, window, last)):
            theirs = table.recipient_key == last, table.client.is_not_distinct_from(client)
            while some := await ledger.read(partial(_planned, window, theirs)):
                yield [one for _, one in some]
        after = last


def _planned(
    window: Window, whose: Sequence[sa.ColumnElement[bool]], connection: sa.Connection
) -> list[tuple[str, Planned]]:
    """The next items of each recipient, with its key, in the order of the keys."""
    table = notifications.c
    size = read_bytes(is_postgres(connection)).label("bytes")
    wanted = sa.select(
        table.id, table.client, table.recipient_key, table.named, table.brand, table.accepted_at, size
    )
    wanted = wanted.where(*window.waiting(), *whose).order_by(table.recipient_key).limit(PLANNED_AT_ONCE)
    fetched = connection.execute(wanted, execution_options={"yield_per": FETCHED_AT_ONCE})
    box = sealing.of(connection)
    box.check(connection)
    read = (box.row(notifications, row) for some in fetched.partitions() for row in some)
    rows = list(map(damaged_rows.checked_address, read))
    known = addresses_of(connection, {recipient_of(row) for row in rows})
    return [
        (row.recipient_key, Planned(row.id, bundled_with(row, known), row.accepted_at, row.bytes))
        for row in rows
    ]


def _clients(window: Window, key: str, connection: sa.Connection) -> Sequence[str | None]:
    """The clients with items for that key."""
    theirs = sa.select(notifications.c.client).where(*window.waiting(), notifications.c.recipient_key == key)
    return connection.scalars(theirs.distinct()).all()


def steps(plan: Sequence[Planned]) -> list[list[Planned]]:
    """The items of each step: all items of some digests."""
    recipients: defaultdict[tuple[Any, ...], list[Planned]] = defaultdict(list)
    for item in sorted(plan, key=lambda item: (item.accepted_at, item.id)):
        recipients[item.to].append(item)
    digests = [
        digest
        for items in recipients.values()
        for digest in portions(items, bytes_of, most=MOST_ITEMS, most_bytes=MOST_BYTES)
    ]
    return [
        [item for digest in step for item in digest]
        for at in range(0, len(digests), RECIPIENTS_AT_ONCE)
        for step in portions(
            digests[at : at + RECIPIENTS_AT_ONCE],
            _bytes_of_all,
            rows=len,
            most=MOST_ITEMS,
            most_bytes=MOST_BYTES,
        )
    ]


def bytes_of(item: Planned) -> int:
    return item.bytes


def _bytes_of_all(digest: Sequence[Planned]) -> int:
    return sum(map(bytes_of, digest))


def bundled_with(row: Any, known: Mapping[Who, Any]) -> tuple[Any, ...]:
    """Items with the same are bundled: their recipient, their brand, and the addresses that they go to."""
    who = recipient_of(row)
    return (who, row.brand, *_addresses(row.named, known.get(who)))


def recipient_of(row: Any) -> Who:
    return row.client or "", row.recipient_key


def _addresses(named: dict[str, str] | None, known: Any) -> tuple[str | None, ...]:
    """The addresses by which items are bundled; none for an item whose recipient was forgotten."""
    if named == {}:
        return ()
    found = ((named or {}).get(name) or getattr(known, name, None) for name in ("email", "phone"))
    return tuple(address and folded(address) for address in found)
