"""Handing notifications to a run: exclusively, with a lease, and to another when a run is lost.

`reserve` sets work aside for a run to come, `claim` is that run taking it up. Intake reserves too,
for the run its caller is about to start. When a lease lapses the work is due again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from waypost.clock import now
from waypost.ledger.engine import Ledger
from waypost.ledger.tables import ACTIVE, attempts, notifications, recipients
from waypost.notification import Notification, Person
from waypost.outcome import Phase, Verdict
from waypost.policy import DOUBTS_ALLOWED
from waypost.states import State

CLAIM_LIMIT = 500
logger = logging.getLogger("waypost.ledger")

_LOST = "the worker was lost between sending and recording"


async def reserve(ledger: Ledger, type: str, limit: int = CLAIM_LIMIT) -> tuple[UUID, int]:
    """Set aside what of `type` is due and in nobody's hands; answers its batch and how many.

    Work of a lost run is taken up here. What it left half sent has its attempt marked UNKNOWN and
    goes once more; the second time a person decides.
    """
    moment, batch = now(), uuid7()
    wanted = (
        sa.select(notifications.c.id, notifications.c.state, notifications.c.in_doubt)
        .where(notifications.c.type == type, *_due(moment))
        .order_by(notifications.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    async with ledger.write() as connection:
        rows = (await connection.execute(wanted)).all()
        half_sent = [row for row in rows if row.state == State.SENDING]
        doubtful = {row.id for row in half_sent if row.in_doubt >= DOUBTS_ALLOWED}
        lost = [row.id for row in rows if row.state == State.CLAIMED]
        await _doubt(connection, [row.id for row in half_sent], moment)
        await _update(connection, list(doubtful), state=State.HELD, reason=f"in doubt: {_LOST}")
        await _update(connection, lost, state=State.ACCEPTED)
        free = [row.id for row in rows if row.id not in doubtful]
        await _update(connection, free, batch_id=batch, leased_until=moment + ledger.lease)
    return batch, len(free)


async def claim(
    ledger: Ledger,
    type: str,
    batch: UUID,
    *,
    default_locale: str = "en",
    default_timezone: str = "UTC",
    limit: int = CLAIM_LIMIT,
) -> list[Notification]:
    """Take up what is reserved under `batch` and due, oldest first; nobody else can any more. What
    is more than `limit` is free again, for other runs.

    What is past its deadline becomes EXPIRED here and is not among the answer. A batch that does
    not exist, or is of another type, holds nothing.
    """
    moment = now()
    wanted = (
        sa.select(notifications, recipients)
        .join(recipients, recipients.c.key == notifications.c.recipient_key)
        .where(
            notifications.c.batch_id == batch,
            notifications.c.type == type,
            notifications.c.state.in_((State.ACCEPTED, State.DEFERRED)),
            notifications.c.due_at <= moment,
        )
        .order_by(notifications.c.due_at, notifications.c.id)
        .limit(limit)
        .with_for_update(of=notifications, skip_locked=True)
    )
    async with ledger.write() as connection:
        rows = (await connection.execute(wanted)).all()
        late = [row.id for row in rows if row.expires_at <= moment]
        taken = [row for row in rows if row.expires_at > moment]
        await _expire(connection, late, moment)
        await _update(
            connection,
            [row.id for row in taken],
            state=State.CLAIMED,
            leased_until=moment + ledger.lease,
        )
        if len(rows) == limit:
            await _release(connection, batch)
    return [_notification(row, default_locale, default_timezone) for row in taken]


def _notification(row: Any, default_locale: str, default_timezone: str) -> Notification:
    return Notification(
        id=row.id,
        type=row.type,
        recipient=Person(
            key=row.key,
            email=row.email,
            phone=row.phone,
            name=row.name or "",
            locale=row.locale or default_locale,
            timezone=row.timezone or default_timezone,
        ),
        data=row.data,
        count=row.occurrences,
        accepted_at=row.accepted_at,
        expires_at=row.expires_at,
        step=row.step,
        tries=row.tries,
        in_doubt=row.in_doubt,
    )


def _due(moment: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """What may be sent now and is in nobody's hands. A digest's items go with their digest."""
    return (
        notifications.c.state.in_(ACTIVE),
        notifications.c.due_at <= moment,
        notifications.c.digest_id.is_(None),
        sa.or_(notifications.c.leased_until.is_(None), notifications.c.leased_until <= moment),
    )


async def types_due(ledger: Ledger) -> list[str]:
    """The types of which something is due and in nobody's hands."""
    async with ledger.read() as connection:
        due = sa.select(notifications.c.type).where(*_due(now())).distinct()
        return list(await connection.scalars(due))


async def _update(connection: AsyncConnection, ids: Sequence[UUID], **values: Any) -> None:
    if ids:
        await connection.execute(sa.update(notifications).where(notifications.c.id.in_(ids)).values(**values))


async def release(ledger: Ledger, batch: UUID) -> None:
    """Free what is reserved under `batch`: the run that was to claim it will not come."""
    async with ledger.write() as connection:
        await _release(connection, batch)


async def _release(connection: AsyncConnection, batch: UUID) -> None:
    await connection.execute(
        sa.update(notifications)
        .where(
            notifications.c.batch_id == batch,
            notifications.c.state.in_((State.ACCEPTED, State.DEFERRED)),
        )
        .values(leased_until=None)
    )


async def _doubt(connection: AsyncConnection, ids: Sequence[UUID], moment: datetime) -> None:
    if not ids:
        return
    await connection.execute(
        sa.update(attempts)
        .where(attempts.c.notification_id.in_(ids), attempts.c.finished_at.is_(None))
        .values(verdict=Verdict.UNKNOWN, phase=Phase.DOT, words=_LOST, finished_at=moment)
    )
    await _update(connection, ids, state=State.DEFERRED, reason=_LOST, in_doubt=notifications.c.in_doubt + 1)


async def _expire(connection: AsyncConnection, ids: Sequence[UUID], moment: datetime) -> None:
    """The items of a digest share its end."""
    if ids:
        await connection.execute(
            sa.update(notifications)
            .where(sa.or_(notifications.c.id.in_(ids), notifications.c.digest_id.in_(ids)))
            .values(
                state=State.EXPIRED,
                reason="deadline passed before it could go",
                finished_at=moment,
                leased_until=None,
            )
        )


async def _renew(ledger: Ledger, batch: UUID) -> None:
    """Rows that the recorder is writing just now are passed over: waiting for them could deadlock."""
    ours = (
        sa.select(notifications.c.id)
        .where(
            notifications.c.batch_id == batch,
            notifications.c.state.in_((State.CLAIMED, State.SENDING)),
        )
        .with_for_update(skip_locked=True)
    )
    async with ledger.write() as connection:
        await connection.execute(
            sa.update(notifications)
            .where(notifications.c.id.in_(ours))
            .values(leased_until=now() + ledger.lease)
        )


@asynccontextmanager
async def keeping(ledger: Ledger, batch: UUID) -> AsyncGenerator[None]:
    """Renew the lease of what `batch` holds for as long as the block runs."""

    async def renew() -> None:
        wait = ledger.lease.total_seconds() / 3
        while True:
            await asyncio.sleep(wait)
            try:
                await _renew(ledger, batch)
                wait = ledger.lease.total_seconds() / 3
            except Exception as error:  # asyncpg's connect errors have no common class
                logger.warning("a lease could not be renewed (%s); trying again", type(error).__name__)
                wait = min(1.0, wait)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
