"""Questions to the ledger. Addresses leave it masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ledger.engine import Ledger
from waypost.ledger.tables import attempts, notifications, recipients
from waypost.mail.address import mask, mask_in
from waypost.states import TERMINAL, State


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: where, when, and the provider's own words. No verdict yet means in doubt."""

    number: int
    channel: str
    provider: str
    started_at: datetime
    finished_at: datetime | None
    verdict: str | None
    phase: str | None
    code: int | None
    enhanced: str | None
    words: str | None
    flow_run_id: UUID | None


@dataclass(frozen=True, slots=True)
class Status:
    """All there is to know of one notification, without its facts."""

    id: UUID
    type: str
    recipient: str
    state: State
    reason: str
    count: int
    accepted_at: datetime
    due_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    digest_id: UUID | None
    attempts: list[Attempt]


async def status(ledger: Ledger, id: UUID) -> Status | None:
    """The notification with its attempts in order, or None."""
    async with ledger.read() as connection:
        row = (
            await connection.execute(
                sa.select(notifications, recipients.c.email, recipients.c.phone)
                .join(recipients, recipients.c.key == notifications.c.recipient_key)
                .where(notifications.c.id == id)
            )
        ).one_or_none()
        if row is None:
            return None
        made = await connection.execute(
            sa.select(attempts)
            .where(attempts.c.notification_id.in_([id, row.digest_id] if row.digest_id else [id]))
            .order_by(attempts.c.started_at, attempts.c.id)
        )
        return Status(
            id=row.id,
            type=row.type,
            recipient=shown(row.recipient_key, row.email, row.phone),
            state=State(row.state),
            reason=mask_in(row.reason),
            count=row.occurrences,
            accepted_at=row.accepted_at,
            due_at=row.due_at,
            expires_at=row.expires_at,
            finished_at=row.finished_at,
            digest_id=row.digest_id,
            attempts=[_attempt(attempt) for attempt in made.mappings()],
        )


def _attempt(row: sa.RowMapping) -> Attempt:
    values: dict[str, Any] = {name: row[name] for name in Attempt.__dataclass_fields__}
    values["words"] = mask_in(values["words"] or "")
    return Attempt(**values)


def shown(key: str, email: str | None, phone: str | None) -> str:
    """A recipient as people may see them: masked address, and the id when it is not one itself."""
    reached = email or phone
    address = mask(reached) if reached else ""
    known = key if "@" not in key and not key.startswith(("mailto:", "tel:")) else ""
    bare = key.removeprefix("mailto:").removeprefix("tel:")
    return " ".join(part for part in (known, address) if part) or mask(bare)


async def totals(ledger: Ledger, batches: Sequence[UUID]) -> Counter[State]:
    """How many notifications accepted in `batches` are in each state."""
    return await _count(ledger, notifications.c.intake_id.in_(batches))


async def not_yet_due(ledger: Ledger, batches: Sequence[UUID]) -> int:
    """How many accepted in `batches` wait for a time their request named."""
    later = sa.and_(
        notifications.c.intake_id.in_(batches),
        notifications.c.state == State.ACCEPTED,
        notifications.c.due_at > now() + timedelta(seconds=5),
    )
    return (await _count(ledger, later)).total()


async def totals_by_type(ledger: Ledger) -> dict[str, Counter[State]]:
    """How many notifications of each type are in each state, over the whole ledger."""
    async with ledger.read() as connection:
        rows = await connection.execute(
            sa.select(notifications.c.type, notifications.c.state, sa.func.count()).group_by(
                notifications.c.type, notifications.c.state
            )
        )
    found: dict[str, Counter[State]] = {}
    for type, state, count in rows:
        found.setdefault(type, Counter())[State(state)] = count
    return found


async def reasons(ledger: Ledger, batches: Sequence[UUID], most: int = 10) -> dict[str, int]:
    """Why notifications of `batches` did not go out, the commonest first, addresses masked."""
    async with ledger.read() as connection:
        rows = await connection.execute(
            sa.select(notifications.c.state, notifications.c.reason, sa.func.count())
            .where(notifications.c.intake_id.in_(batches), notifications.c.reason.not_in(("", "digest")))
            .group_by(notifications.c.state, notifications.c.reason)
            .order_by(sa.func.count().desc())
            .limit(most)
        )
    return {f"{state}: {mask_in(reason)}": count for state, reason, count in rows}


async def open_count(ledger: Ledger) -> int:
    """How many notifications have not come to an end."""
    counted = await _count(ledger, notifications.c.state.not_in(TERMINAL))
    return counted.total()


async def _count(ledger: Ledger, where: Any) -> Counter[State]:
    async with ledger.read() as connection:
        rows = await connection.execute(
            sa.select(notifications.c.state, sa.func.count()).where(where).group_by(notifications.c.state)
        )
    return Counter({State(state): count for state, count in rows})
