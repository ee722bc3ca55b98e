"""Counts and lists from the ledger, with addresses masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.tables import (
    FOR_DIGEST,
    IN_HAND,
    WAITING,
    attempts,
    batches,
    notifications,
    recipients,
)
from waypost.ledger.queue import damaged_rows
from waypost.mail.address import reaches_somebody
from waypost.mail.masking import mask, mask_in
from waypost.model.priority import Priority
from waypost.model.states import TERMINAL, State
from waypost.system.clock import now
from waypost.system.ids import first_id


def shown(key: str, email: str | None, phone: str | None, reveal: bool = False) -> str:
    """A recipient as people may see them: the address or phone number masked unless `reveal` is set, and the
    id if it is neither."""
    reached, hidden = email or phone, str if reveal else mask
    address = hidden(reached) if reached else ""
    known = "" if reaches_somebody(key) or key.startswith(("mailto:", "tel:")) else key
    bare = key.removeprefix("mailto:").removeprefix("tel:")
    return " ".join(part for part in (known, address) if part) or hidden(bare)


def shown_of(box: Sealing, row: Any, reveal: bool = False) -> str:
    """The recipient of a notification as people may see them, with the address that it goes to; without one
    when it was forgotten, or its address cannot be opened. row: has the raw columns id, client, recipient_key
    and named, and the recipient's email and phone. reveal: show the address in full."""
    key = tolerant.text(row.recipient_key)
    if was_forgotten(row):
        return shown(key, None, None, reveal)
    named = tolerant.object(box.shown(notifications, [tolerant.identity(row.id)], "named", row.named))

    def known(field: str) -> str:
        found = named.get(field) or box.shown(recipients, [row.client or "", key], field, getattr(row, field))
        return tolerant.text(found)

    return shown(key, known("email"), known("phone"), reveal)


def was_forgotten(row: Any) -> bool:
    """Whether the recipient's data in a notification was forgotten. row: has the raw column named, which is
    an empty object when it was forgotten, and unset when the request named an id only."""
    return row.named is not None and tolerant.text(row.named).strip() == "{}"


async def totals(ledger: Ledger, intakes: Sequence[UUID]) -> Counter[State]:
    """How many notifications accepted in `intakes` are in each state."""
    return await _count(ledger, notifications.c.intake_id.in_(intakes))


async def lanes_of(ledger: Ledger, intakes: Sequence[UUID]) -> list[Priority]:
    """The lanes of notifications of `intakes` that wait for a run or are in one, the most urgent first."""
    table, open = notifications, (State.ACCEPTED, State.CLAIMED, State.SENDING)
    wanted = (
        sa.select(table.c.priority).where(table.c.intake_id.in_(intakes), table.c.state.in_(open)).distinct()
    )
    found = await ledger.read(lambda connection: connection.scalars(wanted).all())
    return [lane for lane in Priority if lane in found]


async def runs_of(ledger: Ledger, intakes: Sequence[UUID]) -> list[UUID]:
    """The Prefect runs that had notifications accepted in `intakes`, oldest first."""
    wanted = (
        sa.select(batches.c.flow_run_id)
        .join(notifications, notifications.c.batch_id == batches.c.id)
        .where(notifications.c.intake_id.in_(intakes), batches.c.flow_run_id.is_not(None))
        .group_by(batches.c.flow_run_id)
        .order_by(sa.func.min(batches.c.created_at))
    )
    return await ledger.read(lambda connection: list(connection.scalars(wanted)))


async def in_hand(ledger: Ledger, type: str) -> int:
    """How many open batches of `type` have a live lease."""
    wanted = sa.select(sa.func.count()).where(
        sa.text("ended_at IS NULL"), batches.c.type == type, batches.c.leased_until > now()
    )
    return await ledger.read(lambda connection: connection.scalar(wanted) or 0)


def renewed_before(ledger: Ledger) -> datetime:
    """Leases that end before this moment were not renewed for half a lease: their owner is silent."""
    return now() + ledger.lease / 2


async def lapsed(ledger: Ledger, before: datetime) -> dict[str, datetime]:
    """The owners of the open batches whose leases end before `before`, with the earliest end for each. See
    `renewed_before` for owners that are silent."""
    until = batches.c.leased_until
    earliest = damaged_rows.readable_moment(sa.func.min(until, type_=until.type), ledger.is_postgres)
    wanted = (
        sa.select(*tolerant.raw(batches.c.owner), earliest.label("leased_until"))
        .where(sa.text("ended_at IS NULL"), batches.c.leased_until < before)
        .group_by(batches.c.owner)
    )
    rows = await ledger.read(lambda connection: tolerant.read(connection, wanted))
    return {
        tolerant.text(owner): damaged_rows.moment(until) or damaged_rows.EARLIEST for owner, until in rows
    }


async def on_the_wire_of_silent(ledger: Ledger) -> int:
    """How many notifications are being sent in open batches of silent owners. If the owner is dead, they are
    in doubt as soon as the lease lapses and a worker reclaims the batch."""
    wanted = (
        sa.select(sa.func.count())
        .select_from(notifications)
        .join(batches, batches.c.id == notifications.c.batch_id)
        .where(IN_HAND, notifications.c.state == State.SENDING, sa.text("batches.ended_at IS NULL"))
        .where(batches.c.leased_until < renewed_before(ledger))
    )
    return await ledger.read(lambda connection: connection.scalar(wanted) or 0)


@dataclass(frozen=True, slots=True)
class Silent:
    """An open batch whose run lives and writes no outcome. taken_at: when the run took it up."""

    id: UUID
    type: str
    taken_at: datetime


async def silent(ledger: Ledger, since: datetime) -> list[Silent]:
    """The batches that runs took up before `since` and still hold, and in which no attempt has begun or ended
    since then; the oldest first."""
    held = (
        sa.select(batches.c.id, batches.c.type, batches.c.taken_at)
        .where(sa.text("ended_at IS NULL"), batches.c.taken_at < since, batches.c.leased_until > now())
        .order_by(batches.c.taken_at)
    )

    def work(connection: sa.Connection) -> list[Silent]:
        found = tolerant.each(connection, held, [batches.c.id], lambda row: Silent(*row)).good
        if not found:
            return []
        table = attempts
        at_work = sa.select(table.c.batch_id).where(
            table.c.id >= first_id(found[0].taken_at),  # by the primary key: batches have no index there
            in_ids(table.c.batch_id, [one.id for one in found]),
            sa.or_(table.c.started_at >= since, table.c.finished_at >= since),
        )
        working = set(connection.scalars(at_work.distinct()))
        return [one for one in found if one.id not in working]

    return await ledger.read(work)


async def not_yet_due(ledger: Ledger, intakes: Sequence[UUID]) -> int:
    """How many notifications accepted in `intakes` wait for a time that their request named."""
    later = sa.and_(
        notifications.c.intake_id.in_(intakes),
        notifications.c.state == State.ACCEPTED,
        notifications.c.due_at > now() + timedelta(seconds=5),
    )
    return (await _count(ledger, later)).total()


async def in_doubt(ledger: Ledger, intakes: Sequence[UUID]) -> Counter[State]:
    """How many notifications accepted in `intakes` have an attempt whose outcome is unknown, by state."""
    return await _count(ledger, sa.and_(notifications.c.intake_id.in_(intakes), notifications.c.in_doubt > 0))


async def for_digest(ledger: Ledger, intakes: Sequence[UUID]) -> int:
    """How many notifications accepted in `intakes` wait for a digest."""
    return (await _count(ledger, sa.and_(notifications.c.intake_id.in_(intakes), FOR_DIGEST))).total()


async def totals_by_type(ledger: Ledger) -> dict[str, Counter[State]]:
    """How many notifications of each type are in each state, over the whole ledger."""
    table = notifications
    columns = tolerant.raw(table.c.type, table.c.state)
    counted = sa.select(*columns, sa.func.count()).group_by(table.c.type, table.c.state)
    found: dict[str, Counter[State]] = {}
    for type, state, count in await ledger.read(lambda connection: tolerant.read(connection, counted)):
        if state in _STATES:
            found.setdefault(tolerant.text(type), Counter())[State(state)] = count
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
    return {with_state(state, mask_in(reason)): count for state, reason, count in rows}


def with_state(state: str, reason: str) -> str:
    """`failed: refused`, and the reason alone where it begins with the state: `deferred at rcpt`."""
    return reason if reason.startswith(state) else ": ".join(part for part in (state, reason) if part)


async def next_try(ledger: Ledger, intakes: Sequence[UUID]) -> datetime | None:
    """When the first deferred notification of `intakes` is tried again; None if none is deferred."""
    table = notifications.c
    wanted = sa.select(sa.func.min(table.due_at, type_=table.due_at.type)).where(
        table.intake_id.in_(intakes), table.state == State.DEFERRED
    )
    return await ledger.read(lambda connection: connection.scalar(wanted))


async def open_count(ledger: Ledger) -> int:
    """How many notifications have not ended."""
    return (await open_counts(ledger)).total()


async def open_counts(ledger: Ledger) -> Counter[State]:
    """How many notifications have not ended, by state."""
    return await _count(ledger, notifications.c.state.not_in(TERMINAL))


async def late_counts(ledger: Ledger, before: datetime) -> Counter[State]:
    """How many accepted and deferred notifications were due before `before`, by state."""
    return await _count(ledger, sa.and_(WAITING, notifications.c.due_at < before))


async def _count(ledger: Ledger, where: Any) -> Counter[State]:
    state = tolerant.raw(notifications.c.state)
    counted = sa.select(*state, sa.func.count()).where(where).group_by(notifications.c.state)
    rows = await ledger.read(lambda connection: tolerant.read(connection, counted))
    return Counter({State(state): count for state, count in rows if state in _STATES})


_STATES = frozenset(map(str, State))
