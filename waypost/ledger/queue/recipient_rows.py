"""Notifications as rows with their recipients, and what such a row says of a notification."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.tables import ITS_RECIPIENT, notifications, recipients
from waypost.ledger.queue import damaged_rows
from waypost.model.brand import DEFAULT
from waypost.model.notification import Notification, ResolvedRecipient
from waypost.model.priority import Priority

WITH_RECIPIENT = sa.select(
    notifications.c.id,
    notifications.c.type,
    notifications.c.priority,
    notifications.c.data,
    notifications.c.occurrences,
    notifications.c.accepted_at,
    notifications.c.expires_at,
    notifications.c.step,
    notifications.c.tries,
    notifications.c.in_doubt,
    notifications.c.channels,
    notifications.c.named,
    notifications.c.client,
    notifications.c.brand,
    notifications.c.due_at,
    recipients.c.link_generation,
    recipients.c.key,
    recipients.c.email,
    recipients.c.phone,
    recipients.c.name,
    recipients.c.locale,
    recipients.c.timezone,
    recipients.c.attributes,
).join(recipients, ITS_RECIPIENT, isouter=True)


class Opened(NamedTuple):
    """A row of `WITH_RECIPIENT`, with its personal data."""

    id: UUID
    type: Any
    priority: Any
    data: Any
    occurrences: Any
    accepted_at: datetime
    expires_at: datetime
    step: Any
    tries: Any
    in_doubt: Any
    channels: Any
    named: Any
    client: Any
    brand: Any
    due_at: datetime
    link_generation: Any
    key: Any
    email: Any
    phone: Any
    name: Any
    locale: Any
    timezone: Any
    attributes: Any


def opened(box: Sealing, row: sa.Row[Any]) -> Opened:
    """What is on record of a recipient is opened where its request does not say it. Raises NotOpened."""
    values: list[Any] = list(row)
    own, whose = (values[_ID],), (values[_CLIENT] or "", values[_KEY])
    for at in (_DATA, _NAMED):
        values[at] = box.opened(notifications, own, _FIELDS[at], values[at])
    named: Any = values[_NAMED] or ()
    for at in _ON_RECORD:
        if _FIELDS[at] not in named:
            values[at] = box.opened(recipients, whose, _FIELDS[at], values[at])
    return Opened._make(values)


_FIELDS = Opened._fields
_ID, _DATA, _NAMED, _CLIENT, _KEY = map(_FIELDS.index, ("id", "data", "named", "client", "key"))
_ON_RECORD = tuple(map(_FIELDS.index, ("email", "phone", "name", "attributes")))


def notification_of(
    row: Opened, default_locale: str, default_timezone: str, rule: str = ""
) -> Notification | None:
    """The notification of a row; None when the row holds values that no notification can have."""
    (
        id, type, priority, data, count, accepted_at, expires_at, step, tries, in_doubt,
        channels, named, client, brand, _, links, key, email, phone, name, locale, timezone,
        attributes,
    ) = row  # fmt: skip
    if not damaged_rows.is_valid(
        data, priority, (count, step, tries, in_doubt), accepted_at, expires_at, named, brand
    ):
        return None
    own = cast("dict[str, Any]", named or {}).get
    return Notification(
        id=id,
        type=type,
        priority=Priority(priority),
        recipient=ResolvedRecipient(
            key=key,
            email=own("email", email),
            phone=own("phone", phone),
            name=own("name", name) or "",
            locale=own("locale", locale) or default_locale,
            timezone=own("timezone", timezone) or default_timezone,
            attributes=cast("dict[str, Any]", attributes) if isinstance(attributes, dict) else {},
        ),
        data=data,
        count=count,
        accepted_at=accepted_at,
        expires_at=expires_at,
        step=max(step, 0),
        tries=max(tries, 0),
        in_doubt=in_doubt,
        channels=cast(list[str], channels) if isinstance(channels, list) else None,
        client=client if isinstance(client, str) else "",
        brand=brand or DEFAULT,
        rule=rule,
        link_generation=links if isinstance(links, int) else 0,
    )
