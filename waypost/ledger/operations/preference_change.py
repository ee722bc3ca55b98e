"""What a recipient chooses, and what follows at once: what waits and is not wanted any more is suppressed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.steps import in_steps, written_bytes
from waypost.ledger.database.tables import IN_HAND, NOT_IN_HAND, notifications
from waypost.ledger.queue.digest_items import copy_to_items
from waypost.ledger.records import suppressions
from waypost.ledger.records.preferences import choose_all
from waypost.ledger.records.recipients import whose_are
from waypost.model.cadence import Every
from waypost.model.category import Category
from waypost.model.permission import TURNED_OFF, Preference
from waypost.model.states import State
from waypost.model.suppression import Cause, Suppression
from waypost.system.clock import now

TypesOf = Mapping[Category, Collection[str]]  # the names of the types of each category
_WAITS = (State.ACCEPTED, State.HELD, State.DEFERRED)


@dataclass(frozen=True, slots=True)
class Choosing:
    """What a recipient chose, and how it came to be.

    client, key: whose recipient. chosen: what they chose, by category. by: who chose: the recipient's page,
    one click, the API, an import. evidence: for people, kept with the choice. address: the address that a
    mail went to whose link was used; a category that is turned off is then suppressed there too, whatever
    other ids have that address. Turning a category on lifts such a suppression, and those at `lifts_at`.
    """

    client: str
    key: str
    chosen: Mapping[Category, Preference]
    by: str
    evidence: str = ""
    address: str = ""
    lifts_at: Sequence[str] = ()

    @property
    def turned_off(self) -> list[Category]:
        return [category for category, one in self.chosen.items() if one.cadence.every is Every.NEVER]

    @property
    def turned_on(self) -> list[Category]:
        return [category for category in self.chosen if category not in self.turned_off]


async def choose(ledger: Ledger, choosing: Choosing, types: TypesOf) -> int:
    """Store what a recipient chose. What waits for a run, and what a run has not put on the wire yet, is
    suppressed where its category was turned off. Returns how many notifications that were. Safe to repeat."""
    choosing = replace(choosing, key=await ledger.stored_key(choosing.key))
    await ledger.write(partial(_store, choosing))
    names = sorted({name for category in choosing.turned_off for name in types.get(category, ())})
    return await _suppress_waiting(ledger, choosing, names) if names else 0


def _store(choosing: Choosing, connection: sa.Connection) -> None:
    choose_all(connection, choosing.client, choosing.key, choosing.chosen, choosing.by, choosing.evidence)
    if choosing.address:
        suppressions.add_suppressions(connection, _stopped(choosing))
    for address in (choosing.address, *choosing.lifts_at):
        if address:
            suppressions.lift(connection, address, choosing.client, choosing.turned_on, Cause.UNSUBSCRIBE)


def _stopped(choosing: Choosing) -> Sequence[Suppression]:
    return [
        Suppression(
            address=choosing.address,
            scope=category,
            cause=Cause.UNSUBSCRIBE,
            client=choosing.client,
            evidence=choosing.evidence or choosing.by,
        )
        for category in choosing.turned_off
    ]


async def _suppress_waiting(ledger: Ledger, choosing: Choosing, types: Sequence[str]) -> int:
    done = 0
    for waits in _waiting(choosing, types):
        wanted = sa.select(notifications.c.id, written_bytes(ledger.is_postgres)).where(*waits)
        done += await in_steps(ledger, wanted.limit, partial(_suppress, waits=waits, by=choosing.by))
    return done


def _waiting(choosing: Choosing, types: Sequence[str]) -> list[list[sa.ColumnElement[bool]]]:
    """Those that wait, then those that a run has claimed; PostgreSQL finds each by an index of its own."""
    table = notifications.c
    whose = whose_are(choosing.client, choosing.key)
    theirs = [whose, table.type.in_(types), table.digest_id.is_(None)]
    waits = [*theirs, NOT_IN_HAND, table.state.in_(_WAITS)]
    return [waits, [*theirs, IN_HAND, table.state == State.CLAIMED]]


def _suppress(
    connection: sa.Connection, *, ids: Sequence[UUID], waits: Sequence[sa.ColumnElement[bool]], by: str
) -> int:
    values: dict[str, Any] = {
        "state": State.SUPPRESSED,
        "reason": f"{TURNED_OFF} ({by})",
        "finished_at": now(),
    }
    changed = sa.update(notifications).where(in_ids(notifications.c.id, ids), *waits).values(values)
    moved = list(connection.scalars(changed.returning(notifications.c.id)))
    copy_to_items(connection, moved, values)
    return len(moved)
