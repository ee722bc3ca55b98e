"""Holds that are shown elsewhere too, by the pause of a deployment in Prefect.

The ledger keeps what both sides agreed on last. A side that differs from it was changed by a person, and its
value becomes the value of both.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import do_nothing, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import holds, installation
from waypost.ledger.queue.holds import active_hold, lift_hold, lock_holds, place_hold, take_back

_KEPT = "shown hold of "  # with the type, the name of a row; its value: the deployment, and held or free
_HELD, _FREE = "held", "free"


@dataclass(frozen=True, slots=True)
class LedgerSide:
    """Whether a type is held, why, and what was agreed on last, with which deployment."""

    held: bool = False
    reason: str = ""
    agreed: str = ""

    def before(self, deployment: UUID) -> bool | None:
        """What the sides agreed on last; None for a deployment that is seen for the first time."""
        id, _, state = self.agreed.partition(" ")
        return state == _HELD if id == str(deployment) else None


def is_held_now(held: bool, paused: bool, marked: bool, before: bool | None) -> bool:
    """Whether the type is held from now on: as on the side that a person has changed since they agreed. A
    deployment seen for the first time is held if either side says so.

    marked: whether the deployment has the mark that Waypost gives together with a pause. A person who pauses
    or resumes it leaves the mark as it is. If pause and mark say the same and the ledger does not, no person
    decided: `prefect deploy` has reset both, or Waypost wrote them and the ledger was changed meanwhile."""
    if before is None:
        return held or paused
    return paused if held == before and paused != marked else held


async def ledger_sides(ledger: Ledger, types: Collection[str]) -> dict[str, LedgerSide]:
    """The ledger's side of each type. Read it before Prefect: `settle` refuses what changed after this."""

    def work(connection: sa.Connection) -> dict[str, LedgerSide]:
        with tolerant.forgiving(connection):
            rows = connection.execute(_sides(types)).all()
        held = {tolerant.text(row.name): tolerant.text(row.value) for row in rows if row.is_hold}
        kept = {str(row.name).removeprefix(_KEPT): str(row.value) for row in rows if not row.is_hold}
        return {type: LedgerSide(type in held, held.get(type, ""), kept.get(type, "")) for type in types}

    return await ledger.read(work)


def _sides(types: Collection[str]) -> sa.CompoundSelect[Any]:
    """One statement, because two would not see the same moment on PostgreSQL."""
    agreed = sa.select(sa.literal(0).label("is_hold"), installation.c.name, installation.c.value)
    agreed = agreed.where(installation.c.name.in_([f"{_KEPT}{type}" for type in types]))
    return agreed.union_all(sa.select(sa.literal(1), *tolerant.raw(holds.c.type, holds.c.reason)))


async def settle(
    ledger: Ledger, type: str, deployment: UUID, seen: LedgerSide, held: bool, reason: str
) -> bool:
    """Hold or release `type`, and keep that both sides agree on it. False, and nothing changes, if the
    ledger's side is no longer as `seen`. Safe to repeat."""

    def work(connection: sa.Connection) -> bool:
        lock_holds(connection, type)
        is_held = active_hold(connection, type) is not None
        if is_held != seen.held or _agreed(connection, type) != seen.agreed:
            return False
        if held and not is_held:
            place_hold(connection, ledger, type, reason)
        elif is_held and not held:
            lift_hold(connection, type)
        _keep(connection, type, f"{deployment} {_HELD if held else _FREE}")
        return True

    settled = await ledger.write(work)
    if settled and held and not seen.held:
        await take_back(ledger, type)
    return settled


def _agreed(connection: sa.Connection, type: str) -> str:
    kept = sa.select(installation.c.value).where(installation.c.name == f"{_KEPT}{type}")
    return connection.scalar(kept) or ""


def _keep(connection: sa.Connection, type: str, value: str) -> None:
    name = f"{_KEPT}{type}"
    change = sa.update(installation).where(installation.c.name == name).values(value=value)
    if not connection.execute(change).rowcount:
        insert_many(connection, installation, [{"name": name, "value": value}], on_conflict=do_nothing)
