"""Types that a person has stopped: none of their notifications is claimed until the type is released."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.lock_numbers import HOLD
from waypost.ledger.database.notify import announce_work
from waypost.ledger.database.tables import IN_HAND, WAITING, holds, notifications, released_holds
from waypost.ledger.queue.timeline_events import note_events
from waypost.model.states import State
from waypost.system.clock import now
from waypost.system.ids import new_id


@dataclass(frozen=True, slots=True)
class Hold:
    """A type that is held, since when, and the reason that the person gave."""

    type: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """The result of holding a type. already: it was held before. taken_back: how many runs had claimed.
    waiting: how many wait now, due or not. sending: how many are being sent and will end."""

    hold: Hold
    already: bool
    taken_back: int
    waiting: int
    sending: int


@dataclass(frozen=True, slots=True)
class Released:
    """The result of releasing a type. hold: the hold that ended; None when there was none. due: how many go
    out now. waiting: how many wait in all, due or not."""

    hold: Hold | None
    due: int
    waiting: int


async def hold(ledger: Ledger, type: str, reason: str = "") -> Held:
    """Stop `type`, and take back its notifications that runs have claimed but not begun. Safe to repeat: a
    new reason replaces the old one, and `since` stays.

    A batch claimed at the same moment meets the hold when its run takes it up.
    """

    def work(connection: sa.Connection) -> Held:
        if ledger.is_postgres:
            connection.execute(_ALONE, {"type": type})
        before = active_hold(connection, type)
        insert = ledger.insert(holds).values(type=type, reason=reason, since=now())
        kept = {"reason": insert.excluded.reason if reason else holds.c.reason}
        upsert = insert.on_conflict_do_update(index_elements=[holds.c.type], set_=kept)
        made = Hold(*connection.execute(upsert.returning(holds.c.type, holds.c.reason, holds.c.since)).one())
        taken_back = release_claimed(connection, made, notifications.c.type == type)
        waiting, _ = _waiting(connection, type)
        return Held(made, before is not None, taken_back, waiting, _sending(connection, type))

    return await ledger.write_until_durable(work)


async def release(ledger: Ledger, type: str) -> Released:
    """Let `type` go out again, at once. Safe to repeat."""

    def work(connection: sa.Connection) -> Released:
        ended = sa.delete(holds).where(holds.c.type == type).returning(*holds.c)
        before = [Hold(row.type, row.reason, row.since) for row in connection.execute(ended)]
        for one in before:
            past = {"id": new_id(), "released_at": now(), **asdict(one)}
            connection.execute(sa.insert(released_holds).values(past))
        announce_work(connection)
        waiting, due = _waiting(connection, type)
        return Released(next(iter(before), None), due, waiting)

    return await ledger.write_until_durable(work)


async def held_types(ledger: Ledger) -> list[Hold]:
    """Every type that is held, by name."""
    wanted = sa.select(holds).order_by(holds.c.type)
    rows = await ledger.read(lambda connection: connection.execute(wanted).all())
    return [Hold(row.type, row.reason, row.since) for row in rows]


# A run that takes up a batch checks whether its type is held, and then claims more: neither would see a hold
# made between the two. SQLite has one writer at a time anyway.
_ALONE = sa.text(f"SELECT pg_advisory_xact_lock({HOLD}, hashtext(:type))")
_BESIDE_OTHERS = sa.text(f"SELECT pg_advisory_xact_lock_shared({HOLD}, hashtext(:type))")


def lock_out_holds(connection: sa.Connection, type: str) -> None:
    """Block new holds on `type` until this transaction has ended."""
    if connection.dialect.name == "postgresql":
        connection.execute(_BESIDE_OTHERS, {"type": type})


def active_hold(connection: sa.Connection, type: str) -> Hold | None:
    """The hold on `type`, if there is one."""
    row = connection.execute(sa.select(holds).where(holds.c.type == type)).one_or_none()
    return None if row is None else Hold(row.type, row.reason, row.since)


def release_claimed(connection: sa.Connection, hold: Hold, which: sa.ColumnElement[bool]) -> int:
    """Let claimed notifications that are not being sent wait again: their run finds them gone when it gets to
    them. Returns how many. The items of a digest stay with it."""
    freed = (
        sa.update(notifications)
        .where(which, IN_HAND, notifications.c.state == State.CLAIMED, notifications.c.digest_id.is_(None))
        .values(state=State.ACCEPTED, batch_id=None)
        .returning(notifications.c.id)
    )
    ids = list(connection.scalars(freed))
    note_events(connection, ids, "taken back: its type is held", hold.reason)
    return len(ids)


def _waiting(connection: sa.Connection, type: str) -> tuple[int, int]:
    """How many of `type` wait, and how many of these are due."""
    due = sa.func.count().filter(notifications.c.due_at <= now())
    wanted = sa.select(sa.func.count(), due).where(WAITING, notifications.c.type == type)
    waiting, ready = connection.execute(wanted).one()
    return waiting, ready


def _sending(connection: sa.Connection, type: str) -> int:
    wanted = sa.select(sa.func.count()).where(
        IN_HAND, notifications.c.state == State.SENDING, notifications.c.type == type
    )
    return connection.scalar(wanted) or 0
