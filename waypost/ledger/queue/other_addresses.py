"""Where the main address of a recipient has a hard bounce: its first further address that is verified.

One query for a batch, and none while no address of the batch is suppressed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing
from waypost.ledger.database.bulk import update_many
from waypost.ledger.database.tables import notifications
from waypost.ledger.queue.recipient_rows import Opened
from waypost.ledger.records import recipient_addresses, suppressions
from waypost.ledger.records.recipients import Who
from waypost.mail.address import url_of
from waypost.model.notification import ADDRESSED_BY, Notification
from waypost.model.notification_type import NotificationType
from waypost.policy.suppression import is_bounce

Others = Mapping[tuple[Who, str], str]  # the address to use, by recipient and kind of address


@dataclass(frozen=True, slots=True)
class Redirected:
    """A notification with other addresses than the main ones, and why, for people. used: these addresses, by
    field."""

    notification: Notification
    why: str
    used: Mapping[str, str]


def redirected(
    connection: sa.Connection,
    type: NotificationType,
    found: Sequence[Notification],
    asked: Mapping[UUID, Opened],
    stopped: suppressions.ByAddress,
    moment: datetime,
) -> dict[UUID, Redirected]:
    """Those of `found` that go to another address of their recipient, by id. asked: their rows; an address
    that a request named is not replaced. stopped: the suppressions of the addresses of `found`.

    A type that makes codes or links is left alone: they prove the address that they were asked for. So is a
    notification in doubt: it may have arrived, and would arrive twice.
    """
    if not stopped or type.mint is not None:
        return {}
    fields = {ADDRESSED_BY[kind] for kind in type.kinds if kind in ADDRESSED_BY}
    sure = (one for one in found if not one.in_doubt)
    bounced = {
        one.id: dead for one in sure if (dead := list(_bounced(one, fields, asked[one.id].named, stopped)))
    }
    if not bounced:
        return {}
    people = {(one.client, one.recipient.key) for one in found if one.id in bounced}
    others = recipient_addresses.to_use(connection, people, type.category, moment)
    moved = ((one, _used(one, bounced[one.id], others)) for one in found if one.id in bounced)
    return {one.id: _redirected(one, used) for one, used in moved if used}


def _bounced(
    one: Notification, fields: Iterable[str], named: Any, stopped: suppressions.ByAddress
) -> Iterator[str]:
    """The fields whose main address is suppressed for hard bounces alone. One that somebody unsubscribed is
    not evaded."""
    for field in fields:
        address: str | None = getattr(one.recipient, field)
        if address and field not in (named or {}):
            found = suppressions.that_stop(stopped, url_of(address), one.client)
            if found and all(map(is_bounce, found)):
                yield field


def _used(one: Notification, fields: Collection[str], others: Others) -> dict[str, str]:
    who = one.client, one.recipient.key
    return {field: others[who, field] for field in sorted(fields) if (who, field) in others}


def _redirected(one: Notification, used: Mapping[str, str]) -> Redirected:
    why = f"to another verified {' and '.join(used)} of its recipient: the main one has a hard bounce"
    person = replace(one.recipient, **used)
    # Its soft bounces were not looked up; a mail that is taken there forgets them, if there are any.
    return Redirected(replace(one, recipient=person, soft_bounced="email" in used), why, used)


def keep(connection: sa.Connection, moved: Mapping[UUID, Redirected], asked: Mapping[UUID, Opened]) -> None:
    """Write the addresses of `moved` into their notifications, as if their requests had named them: what is
    tried again goes to the same address, also if it is in doubt, or the main one works again."""
    rows: list[dict[str, Any]] = [
        {"id": id, "named": {**(asked[id].named or {}), **one.used}} for id, one in moved.items()
    ]
    update_many(connection, notifications, sealing.of(connection).sealed_all(notifications, rows))
