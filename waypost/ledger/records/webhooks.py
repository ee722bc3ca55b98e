"""Webhooks: where clients want to receive the states of their notifications.

Secrets are derived from a key and not stored; events still to be delivered are in webhook_outbox.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.lock_numbers import NEW_WEBHOOK
from waypost.ledger.database.tables import webhook_events, webhooks
from waypost.ledger.records.installation import require_key
from waypost.model.states import TERMINAL, State
from waypost.system.clock import now
from waypost.system.ids import new_id

# The states that the trigger makes events of.
STATES = (
    State.SENT,
    State.DEFERRED,
    State.HELD,
    State.SUPPRESSED,
    State.EXPIRED,
    State.FAILED,
    State.CANCELLED,
)
ENDS = tuple(state for state in STATES if state in TERMINAL)
MOST = 10  # per client
OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Webhook:
    """states: the states it receives. generation: how often its secret was replaced; until `overlap_until`
    the previous secret is valid too. gone_at: when it returned 410 Gone. failing_since: the time of the
    oldest event whose delivery failed and will be retried; None without one, and when it was not queried."""

    id: UUID
    client: str
    url: str = field(repr=False)
    states: list[str]
    generation: int
    overlap_until: datetime | None
    created_at: datetime
    gone_at: datetime | None = None
    failing_since: datetime | None = None

    def generations(self, moment: datetime) -> list[int]:
        """The generations of the secrets to sign with, the newest first."""
        overlaps = self.overlap_until is not None and moment < self.overlap_until
        return [self.generation, self.generation - 1] if overlaps else [self.generation]


class UnknownWebhook(LookupError):
    """No webhook has that id, or it is another client's."""


class TooManyWebhooks(Exception):
    """The client has as many webhooks as it may."""


async def create(
    ledger: Ledger, secret_key: bytes, client: str, url: str, states: Iterable[str] = ENDS
) -> Webhook:
    """Add a webhook at `url`, which was checked before: `client` receives `states` there from now on.
    secret_key: the key from which its secret is derived.

    Raises TooManyWebhooks and OtherKey.
    """
    made = Webhook(new_id(), client, url, list(dict.fromkeys(states)), 0, None, now())

    def work(connection: sa.Connection) -> None:
        require_key(connection, secret_key)
        if ledger.is_postgres:  # concurrent calls count one after the other
            lock = sa.func.pg_advisory_xact_lock(NEW_WEBHOOK, sa.func.hashtext(client))
            connection.execute(sa.select(lock))
        counted = sa.select(sa.func.count()).where(webhooks.c.client == client)
        if (connection.scalar(counted) or 0) >= MOST:
            raise TooManyWebhooks(f"{client} has {MOST} webhooks already: delete one first")
        connection.execute(sa.insert(webhooks), _row(made))

    await ledger.write(work)
    return made


async def every(ledger: Ledger, client: str | None = None) -> list[Webhook]:
    """All webhooks, or those of `client`, by client and age. Those whose rows cannot be read are left out."""
    wanted = _with_failures().order_by(webhooks.c.client, webhooks.c.created_at, webhooks.c.id)
    if client is not None:
        wanted = wanted.where(webhooks.c.client == client)
    found = await ledger.read(lambda connection: tolerant.each(connection, wanted, [webhooks.c.id], webhook))
    return found.good


async def find(ledger: Ledger, id: UUID, client: str | None = None) -> Webhook:
    """One webhook, if it is `client`'s. Raises UnknownWebhook."""
    wanted = _with_failures().where(*_own(id, client))
    return _known(await ledger.read(lambda connection: connection.execute(wanted).one_or_none()), id)


async def delete(ledger: Ledger, id: UUID, client: str | None = None) -> None:
    """Delete a webhook and its pending events. Raises UnknownWebhook."""

    def work(connection: sa.Connection) -> bool:
        found = connection.execute(sa.delete(webhooks).where(*_own(id, client))).rowcount > 0
        if found:
            _forget_events(connection, id)
        return found

    if not await ledger.write(work):
        raise _unknown(id)


async def rotate(
    ledger: Ledger, secret_key: bytes, id: UUID, client: str | None = None, overlap: timedelta = OVERLAP
) -> Webhook:
    """Give a webhook a new secret, derived from `secret_key`; the previous one stays valid for `overlap`.
    Raises UnknownWebhook and OtherKey."""
    changed = (
        sa.update(webhooks)
        .where(*_own(id, client))
        .values(generation=webhooks.c.generation + 1, overlap_until=now() + overlap)
        .returning(*webhooks.c)
    )

    def work(connection: sa.Connection) -> Any:
        require_key(connection, secret_key)
        return connection.execute(changed).one_or_none()

    return _known(await ledger.write(work), id)


async def mark_gone(ledger: Ledger, id: UUID) -> None:
    """Mark a webhook that returned 410 Gone: it receives nothing more, and its pending events are deleted."""

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.update(webhooks).where(webhooks.c.id == id).values(gone_at=now()))
        _forget_events(connection, id)

    await ledger.write(work)


def webhook(row: Any) -> Webhook:
    """The Webhook of a row. Raises TypeError for values that no webhook has."""
    tolerant.checked(row, webhooks)
    found = Webhook(**{column.name: getattr(row, column.name) for column in webhooks.c})
    failing = getattr(row, "failing_since", None)
    return replace(found, states=row.states.strip(",").split(","), failing_since=failing)


def _with_failures() -> sa.Select[Any]:
    """Each webhook, and since when it fails: looks at its pending events, three days of them at most."""
    told_in_vain = (webhook_events.c.webhook_id == webhooks.c.id, webhook_events.c.tries > 0)
    since = sa.select(sa.func.min(webhook_events.c.at)).where(*told_in_vain).scalar_subquery()
    return sa.select(webhooks, since.label("failing_since"))


def _row(made: Webhook) -> dict[str, Any]:
    row = {column.name: getattr(made, column.name) for column in webhooks.c}
    return {**row, "states": f",{','.join(made.states)},"}


def _own(id: UUID, client: str | None) -> list[sa.ColumnElement[bool]]:
    return [webhooks.c.id == id] + ([] if client is None else [webhooks.c.client == client])


def _forget_events(connection: sa.Connection, id: UUID) -> None:
    connection.execute(sa.delete(webhook_events).where(webhook_events.c.webhook_id == id))


def _known(row: Any, id: UUID) -> Webhook:
    if row is None:
        raise _unknown(id)
    return webhook(row)


def _unknown(id: UUID) -> UnknownWebhook:
    return UnknownWebhook(f"unknown webhook {id}; `waypost webhooks list` shows all webhooks")
