"""Questions to the ledger. Addresses leave it masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ledger import readable
from waypost.ledger.engine import Ledger
from waypost.ledger.many import among
from waypost.ledger.tables import attempts, batches, notifications
from waypost.mail.address import mask, mask_in, reaches_somebody
from waypost.outcome import Verdict
from waypost.priority import Priority
from waypost.states import TERMINAL, State


def shown(key: str, email: str | None, phone: str | None) -> str:
    """A recipient as people may see them: the address or phone number masked, and the id if it is neither."""
    reached = email or phone
    address = mask(reached) if reached else ""
    known = "" if reaches_somebody(key) else key
    bare = key.removeprefix("mailto:").removeprefix("tel:")
    return " ".join(part for part in (known, address) if part) or mask(bare)


def shown_of(row: Any) -> str:
    """The recipient of a notification as people may see them, at the address that it goes to. row: has the
    raw columns recipient_key and named, and the recipient's email and phone."""
    named = readable.object(row.named)
    email, phone = (readable.text(named.get(field) or getattr(row, field)) for field in ("email", "phone"))
    return shown(readable.text(row.recipient_key), email, phone)


async def states(ledger: Ledger, ids: Sequence[UUID]) -> dict[UUID, State]:
    """Where each of those notifications is."""
    wanted = sa.select(notifications.c.id, notifications.c.state).where(among(notifications.c.id, ids))
    rows = await ledger.read(lambda connection: connection.execute(wanted).all())
    return {id: State(state) for id, state in rows}


async def providers_in_doubt(ledger: Ledger, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The provider of the last attempt of each notification whose answer is unknown, where there is one."""
    last = (
        sa.select(attempts.c.notification_id, sa.func.max(attempts.c.number).label("number"))
        .where(among(attempts.c.notification_id, ids), attempts.c.verdict == Verdict.UNKNOWN)
        .group_by(attempts.c.notification_id)
        .subquery()
    )
    wanted = sa.select(attempts.c.notification_id, attempts.c.provider).join(
        last,
        sa.and_(attempts.c.notification_id == last.c.notification_id, attempts.c.number == last.c.number),
    )
    return dict(await ledger.read(lambda connection: connection.execute(wanted).tuples().all()))


async def totals(ledger: Ledger, intakes: Sequence[UUID]) -> Counter[State]:
    """How many notifications accepted in `intakes` are in each state."""
    return await _count(ledger, notifications.c.intake_id.in_(intakes))


async def lanes_of(ledger: Ledger, intakes: Sequence[UUID]) -> list[Priority]:
    """The lanes of what was accepted in `intakes` and waits for a run or is in one, the most urgent first."""
    table, open = notifications, (State.ACCEPTED, State.CLAIMED, State.SENDING)
    wanted = (
        sa.select(table.c.priority).where(table.c.intake_id.in_(intakes), table.c.state.in_(open)).distinct()
    )
    found = await ledger.read(lambda connection: connection.scalars(wanted).all())
    return [lane for lane in Priority if lane in found]


async def runs_of(ledger: Ledger, intakes: Sequence[UUID]) -> list[UUID]:
    """The Prefect runs that had what was accepted in `intakes`, oldest first."""
    wanted = (
        sa.select(batches.c.flow_run_id)
        .join(notifications, notifications.c.batch_id == batches.c.id)
        .where(notifications.c.intake_id.in_(intakes), batches.c.flow_run_id.is_not(None))
        .group_by(batches.c.flow_run_id)
        .order_by(sa.func.min(batches.c.created_at))
    )
    return await ledger.read(lambda connection: list(connection.scalars(wanted)))


async def in_hand(ledger: Ledger, type: str) -> int:
    """How many batches of `type` somebody has a live lease on."""
    wanted = sa.select(sa.func.count()).where(
        sa.text("ended_at IS NULL"), batches.c.type == type, batches.c.leased_until > now()
    )
    return await ledger.read(lambda connection: connection.scalar(wanted) or 0)


async def lapsed(ledger: Ledger, before: datetime) -> dict[str, datetime]:
    """Whose batches have leases that lapsed before a moment and nobody took back, and when the first did."""
    wanted = (
        sa.select(batches.c.owner, sa.func.min(batches.c.leased_until, type_=batches.c.leased_until.type))
        .where(sa.text("ended_at IS NULL"), batches.c.leased_until < before)
        .group_by(batches.c.owner)
    )
    return dict(await ledger.read(lambda connection: connection.execute(wanted).tuples().all()))


async def not_yet_due(ledger: Ledger, intakes: Sequence[UUID]) -> int:
    """How many accepted in `intakes` wait for a time their request named."""
    later = sa.and_(
        notifications.c.intake_id.in_(intakes),
        notifications.c.state == State.ACCEPTED,
        notifications.c.due_at > now() + timedelta(seconds=5),
    )
    return (await _count(ledger, later)).total()


async def totals_by_type(ledger: Ledger) -> dict[str, Counter[State]]:
    """How many notifications of each type are in each state, over the whole ledger."""
    table = notifications
    counted = sa.select(table.c.type, table.c.state, sa.func.count()).group_by(table.c.type, table.c.state)
    found: dict[str, Counter[State]] = {}
    for type, state, count in await ledger.read(lambda connection: connection.execute(counted).all()):
        found.setdefault(type, Counter())[State(state)] = count
    return found


async def reasons(ledger: Ledger, intakes: Sequence[UUID], most: int = 10) -> dict[str, int]:
    """Why notifications of `intakes` did not go out, the commonest first, addresses masked."""
    counted = (
        sa.select(notifications.c.state, notifications.c.reason, sa.func.count())
        .where(notifications.c.intake_id.in_(intakes), notifications.c.reason.not_in(("", "digest")))
        .group_by(notifications.c.state, notifications.c.reason)
        .order_by(sa.func.count().desc())
        .limit(most)
    )
    rows = await ledger.read(lambda connection: connection.execute(counted).all())
    return {f"{state}: {mask_in(reason)}": count for state, reason, count in rows}


async def open_count(ledger: Ledger) -> int:
    """How many notifications have not come to an end."""
    counted = await _count(ledger, notifications.c.state.not_in(TERMINAL))
    return counted.total()


async def _count(ledger: Ledger, where: Any) -> Counter[State]:
    counted = sa.select(notifications.c.state, sa.func.count()).where(where).group_by(notifications.c.state)
    rows = await ledger.read(lambda connection: connection.execute(counted).all())
    return Counter({State(state): count for state, count in rows})
