"""Types that a person has stopped: none of their notifications is claimed until the type is released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.lock_numbers import HOLD
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.steps import MOST, ids_of_a_step, written_bytes
from waypost.ledger.database.tables import IN_HAND, WAITING, holds, notifications, released_holds
from waypost.ledger.queue import damaged_rows
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

    made, already = await ledger.write_until_durable(lambda c: place_hold(c, ledger, type, reason))
    taken_back = await take_back(ledger, type)
    waiting, sending = await ledger.write_until_durable(lambda c: (_waiting(c, type)[0], _sending(c, type)))
    return Held(made, already, taken_back, waiting, sending)


def place_hold(connection: sa.Connection, ledger: Ledger, type: str, reason: str) -> tuple[Hold, bool]:
    """Hold `type`, in the caller's transaction. Returns the hold, and whether there was one before."""
    lock_holds(connection, type)
    before = active_hold(connection, type)
    insert = ledger.insert(holds).values(type=type, reason=reason, since=now())
    kept = {"reason": insert.excluded.reason if reason else holds.c.reason}
    upsert = insert.on_conflict_do_update(index_elements=[holds.c.type], set_=kept)
    connection.execute(upsert)
    [made] = _of(connection, type)
    return made, before is not None


async def take_back(ledger: Ledger, type: str) -> int:
    """Free what runs have claimed of a held type and not begun. Returns how many."""
    taken_back = 0
    while freed := await ledger.write_until_durable(partial(_take_back, ledger.is_postgres, type)):
        taken_back += freed
    return taken_back


def _take_back(is_postgres: bool, type: str, connection: sa.Connection) -> int:
    """Free as many as one transaction may change, and return how many: none if the type was released."""
    held = active_hold(connection, type)
    claimed = IN_HAND, notifications.c.state == State.CLAIMED, notifications.c.digest_id.is_(None)
    wanted = sa.select(notifications.c.id, written_bytes(is_postgres))
    wanted = wanted.where(*claimed, notifications.c.type == type).limit(MOST)
    ids = ids_of_a_step(wanted, connection) if held else []
    return release_claimed(connection, held, in_ids(notifications.c.id, ids)) if held and ids else 0


async def release(ledger: Ledger, type: str) -> Released:
    """Let `type` go out again, at once. Safe to repeat."""

    def work(connection: sa.Connection) -> Released:
        before = lift_hold(connection, type)
        waiting, due = _waiting(connection, type)
        return Released(before, due, waiting)

    return await ledger.write_until_durable(work)


def lift_hold(connection: sa.Connection, type: str) -> Hold | None:
    """Release `type`, in the caller's transaction. Returns the hold that ended."""
    before = active_hold(connection, type)
    if not connection.execute(sa.delete(holds).where(holds.c.type == type)).rowcount:
        before = None  # it was released at the same moment
    if before is not None:
        past = {"id": new_id(), "released_at": now(), **asdict(before)}
        connection.execute(sa.insert(released_holds).values(past))
    announce_work(connection)
    return before


async def held_types(ledger: Ledger) -> list[Hold]:
    """Every type that is held, by name."""
    wanted = sa.select(holds).order_by(holds.c.type)
    return await ledger.read(lambda connection: _read(connection, wanted))


def _read(
    connection: sa.Connection, wanted: sa.Select[Any], given: Mapping[str, Any] | None = None
) -> list[Hold]:
    """A hold whose row cannot be read still holds its type. given: the parameters of `wanted`."""
    good, damaged = tolerant.each(connection, wanted, [holds.c.type], _hold, given)
    return good + [
        Hold(tolerant.text(row.key), damaged_rows.HOLD_CANNOT_BE_READ, damaged_rows.EARLIEST)
        for row in damaged
    ]


def _hold(row: Any) -> Hold:
    tolerant.checked(row, holds)
    return Hold(row.type, row.reason, row.since)


# A run that takes up a batch checks whether its type is held, and then claims more: neither would see a hold
# made between the two. SQLite has one writer at a time anyway.
_ALONE = sa.text(f"SELECT pg_advisory_xact_lock({HOLD}, hashtext(:type))")
_BESIDE_OTHERS = sa.text(f"SELECT pg_advisory_xact_lock_shared({HOLD}, hashtext(:type))")


def lock_holds(connection: sa.Connection, type: str) -> None:
    """Let no other transaction hold `type`, or take up a batch of it, until this one has ended."""
    if is_postgres(connection):
        connection.execute(_ALONE, {"type": type})


def lock_out_holds(connection: sa.Connection, type: str) -> None:
    """Block new holds on `type` until this transaction has ended."""
    if is_postgres(connection):
        connection.execute(_BESIDE_OTHERS, {"type": type})


def active_hold(connection: sa.Connection, type: str) -> Hold | None:
    """The hold on `type`, if there is one."""
    return next(iter(_of(connection, type)), None)


async def why_held(ledger: Ledger, type: str) -> str:
    """Why nothing of `type` goes out, how many wait, and what to do; empty if the type is not held."""

    def work(connection: sa.Connection) -> str:
        held = active_hold(connection, type)
        return waits_in_words(connection, held) if held else ""

    return await ledger.read(work)


def waits_in_words(connection: sa.Connection, hold: Hold) -> str:
    """That the type is held, why, how many wait for its release, and the command that releases it."""
    waiting, _ = _waiting(connection, hold.type)
    count = f"{waiting} wait{'s' if waiting == 1 else ''}"
    return f"{hold.type} is held: {hold.reason or 'no reason given'}; {count}; `waypost release {hold.type}`"


def _of(connection: sa.Connection, type: str) -> list[Hold]:
    return _read(connection, _OF_TYPE, {"of": type})


_OF_TYPE = sa.select(holds).where(holds.c.type == sa.bindparam("of"))


def release_claimed(connection: sa.Connection, hold: Hold, which: sa.ColumnElement[bool]) -> int:
    """Let claimed notifications that are not being sent wait again: their run finds them gone when it gets to
    them. Returns how many. The items of a digest stay with it."""
    freed = (
        sa.update(notifications)
        .where(which, IN_HAND, notifications.c.state == State.CLAIMED, notifications.c.digest_id.is_(None))
        .values(state=State.ACCEPTED, batch_id=None)
        .returning(*tolerant.raw(notifications.c.id))
    )
    ids = tolerant.ids(connection, freed)
    note_events(connection, ids, "returned: its type is held", hold.reason)
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
