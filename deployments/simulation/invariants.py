"""Checks the result of a simulation against what Waypost promises, with a function per promise.

Nothing here uses the code under test: the facts come from outside it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost import Doubt
from waypost.deployments.simulation.actors import Asked
from waypost.deployments.simulation.change_log import all_of
from waypost.deployments.simulation.fake_provider import Delivered
from waypost.deployments.simulation.faults import RECOVERY_SECONDS, Spell, longer, outside
from waypost.deployments.simulation.result import SimulationResult
from waypost.deployments.simulation.types import CODE, DIGEST, TYPES
from waypost.deployments.simulation.world import World
from waypost.ledger.database.tables import attempts, idempotency_keys, notifications
from waypost.model.outcome import Verdict as Answer
from waypost.model.states import TERMINAL, State

TOLERANCE = 0.5  # seconds that a clock reading and the wire may lie apart
WRITTEN_WITHIN = 2.0  # seconds from an end until it is in the ledger, without those of outages
PROMPT_SECONDS = 2.5  # a worker asks Prefect for runs every second
OUTAGE_SECONDS = 12.0  # urgent notifications go without Prefect after 10 of them, once that is noticed
SENT_IN_DOUBT = {Doubt.RESEND: 2, Doubt.HOLD: 1, Doubt.DROP: 1}  # attempts without an answer, at most


def judge(found: SimulationResult, world: World, asked: Sequence[Asked]) -> None:
    """Write the figures of the simulation, and every broken promise, into `found`."""
    rows = {row.id: row for row in world.database.rows(all_of(notifications))}
    tries = _attempts(world)
    delivered = [one for mailbox in world.mailboxes.values() for one in mailbox]
    times = Counter(one.id for one in delivered)
    unknown = Counter(
        one.notification_id for some in tries.values() for one in some if one.verdict == Answer.UNKNOWN
    )
    found.accepted = len(asked)
    found.delivered = len(delivered)
    found.unknown = unknown.total()
    found.states = dict(Counter(row.state for row in rows.values()))
    found.illegal += world.journal.illegal
    found.illegal += [
        f"{run.type} run {run.id} is shown as {run.progress.name} for ever" for run in world.server.open
    ]
    found.lost += _lost(_ids(world, asked), rows) + _stuck(rows) + _nowhere(rows, times)
    found.duplicated = sum(number - 1 for number in times.values())
    found.unexplained += [
        f"{id} was delivered {number} times, {unknown[id]} unknown"
        for id, number in times.items()
        if unknown[id] < number - 1
    ]
    found.illegal += [
        f"{id} was delivered {number} times in {len(tries[id])} attempts"
        for id, number in times.items()
        if len(tries[id]) < number
    ]
    for id, some in tries.items():
        found.illegal += _after_a_doubt(rows[id], some)
    found.illegal += _deleted_early(world)
    found.late += _late(delivered, world) + _kept_waiting(_ids(world, asked), world)
    _judge_digests(found, rows, delivered)


Rows = dict[UUID, sa.Row[Any]]
Ids = dict[Asked, UUID | None]


def _attempts(world: World) -> defaultdict[UUID, list[sa.Row[Any]]]:
    found: defaultdict[UUID, list[sa.Row[Any]]] = defaultdict(list)
    for row in sorted(world.database.rows(all_of(attempts)), key=lambda row: row.number):
        found[row.notification_id].append(row)
    return found


def _ids(world: World, asked: Sequence[Asked]) -> Ids:
    """The notification of each request; None when the ledger does not know it."""
    known = {row.key: row.notification_id for row in world.database.rows(all_of(idempotency_keys))}
    return {one: known.get(one.key) for one in asked}


def _lost(ids: Ids, rows: Rows) -> list[str]:
    return [f"{one.key} was accepted and is not in the ledger" for one, id in ids.items() if id not in rows]


def _stuck(rows: Rows) -> list[str]:
    return [
        f"{row.id} is stuck in {row.state}: {row.reason}"
        for row in rows.values()
        if row.digest_id is None
        and row.state not in TERMINAL
        and (row.state != State.HELD or row.reason == "digest")
    ]


def _nowhere(rows: Rows, times: Counter[UUID]) -> list[str]:
    return [
        f"{row.id} is recorded as sent, but no provider has it"
        for row in rows.values()
        if row.state == State.SENT and row.digest_id is None and not times[row.id]
    ]


def _after_a_doubt(row: sa.Row[Any], tries: Sequence[sa.Row[Any]]) -> list[str]:
    """After an UNKNOWN, no later attempt uses another provider, and a type's attempts end after as many
    UNKNOWN as it allows."""
    wrong: list[str] = []
    in_doubt = 0
    doubted = None
    for before, then in pairwise(tries):
        if before.verdict == Answer.UNKNOWN:
            doubted = before
            in_doubt += 1
            if in_doubt >= SENT_IN_DOUBT[TYPES[row.type].when_in_doubt]:
                wrong.append(f"{row.id}, {row.type}, was sent again after {in_doubt} UNKNOWN")
        if doubted is None:
            continue
        if then.batch_id == doubted.batch_id:
            wrong.append(f"{row.id} went on to {then.provider} in the run that left it UNKNOWN")
        elif then.provider != doubted.provider:
            wrong.append(f"{row.id} went over {then.provider} after {doubted.provider} left it UNKNOWN")
    return wrong


def _deleted_early(world: World) -> list[str]:
    """Retention deletes what ended long enough ago, by clocks that may be wrong. An end while the ledger is
    down is written, and seen here, only afterwards."""
    down = sum(ends - begins for begins, ends in world.faults.ledger_down)
    kept = (world.retention_days or 0.0) * 86400
    allowed = kept - 2 * world.faults.jumps - WRITTEN_WITHIN - down
    return [
        f"{id} was deleted {age:.1f} s after it had ended"
        for id, age in world.journal.deleted.items()
        if age < allowed
    ]


def _late(delivered: Sequence[Delivered], world: World) -> list[str]:
    allowed = TOLERANCE + world.faults.jumps
    return [f"{one.id} by {one.late:.1f} s" for one in delivered if one.late > allowed]


def _kept_waiting(ids: Ids, world: World) -> list[str]:
    """Urgent notifications wait only for faults, and for other urgent notifications."""
    if world.faults.jumps:
        return []
    excused = _excuses(world)
    wrong: list[str] = []
    for one, id in ids.items():
        if one.type != CODE.name or one.ready is None or id is None:
            continue
        moments = [when[id] for when in (world.ownership.first, world.journal.ended) if id in when]
        waited = outside(excused, one.ready, min(moments, default=world.time()))
        if waited > PROMPT_SECONDS:
            wrong.append(f"{id}, urgent, waited {waited:.1f} s for its run from {one.ready:.1f} on")
    return wrong


def _excuses(world: World) -> list[Spell]:
    faults = world.faults
    return [
        *faults.disturbances,
        *longer(faults.ledger_down, RECOVERY_SECONDS),
        *((begins, min(ends, begins + OUTAGE_SECONDS)) for begins, ends in faults.prefect_down),
        *world.journal.holds.get(CODE.name, []),
        *world.ownership.urgent,
    ]


def _judge_digests(found: SimulationResult, rows: Rows, delivered: Sequence[Delivered]) -> None:
    """Every item is in one digest, and shares its end."""
    carried: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for one in delivered:
        if rows[one.id].type == DIGEST.name:
            for item in one.text.split():
                carried[UUID(item)].add(one.id)
    for item, digests in carried.items():
        if len(digests) > 1:
            found.unexplained.append(f"{item} is in {len(digests)} digests")
    for row in rows.values():
        if row.digest_id is None:
            continue
        end = rows[row.digest_id].state
        if row.state != (end if end in TERMINAL else State.CLAIMED):
            found.illegal.append(f"{row.id} is {row.state}, its digest {end}")
        if row.state == State.SENT and not carried[row.id]:
            found.lost.append(f"{row.id} is recorded as sent, but is in no delivered digest")
