"""Grouping: repeats inside a window are one notification with a count; a request that is news is sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import groups, notifications
from waypost.ledger.intake import idempotency
from waypost.ledger.intake.candidate import Candidate
from waypost.model.notification_type import Condition, NotificationType
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.states import TERMINAL, State
from waypost.system.clock import now

SOON = timedelta(seconds=10)  # clocks of several machines agree to this, and such a wait does no harm


@dataclass(frozen=True, slots=True)
class Group:
    """An open group. owner: the notification that counts its repeats. condition: what the owner says."""

    owner: UUID
    condition: Condition

    @classmethod
    def opened_by(cls, candidate: Candidate) -> Group:
        return cls(candidate.id, candidate.condition)


def count_repeats(
    ledger: Ledger,
    connection: sa.Connection,
    type: NotificationType,
    candidates: Sequence[Candidate],
    moment: datetime,
) -> None:
    """Count repeats of a type into the notification that opened their group, inside its window. A request
    that is news opens the group anew."""
    if type.grouping is None:
        return
    members: defaultdict[bytes, list[Candidate]] = defaultdict(list)
    box = sealing.of(connection)
    for candidate in candidates:
        if candidate.open and candidate.group is not None:
            members[box.keyed(connection, candidate.group)].append(candidate)
    if not members:
        return
    first = {key: members[key][0] for key in sorted(members)}
    opened = _open_groups(ledger, connection, first, moment, moment - type.grouping.window)
    repeats: dict[UUID, list[Candidate]] = defaultdict(list)
    latest = {key: _share_out(opened[key], members[key], repeats) for key in first}
    _write(connection, {key: group for key, group in latest.items() if group != opened[key]}, moment)
    _count(connection, repeats, {one.id: one for same in members.values() for one in same})


def _share_out(group: Group, members: Sequence[Candidate], repeats: dict[UUID, list[Candidate]]) -> Group:
    """Sort a group's requests, in their order, into those that open it anew and repeats of those. Returns the
    group as the last request leaves it."""
    for candidate in members:
        if candidate.id == group.owner:
            continue
        if candidate.condition.is_news_after(group.condition):
            group = Group.opened_by(candidate)
        else:
            repeats[group.owner].append(candidate)
    return group


def _open_groups(
    ledger: Ledger,
    connection: sa.Connection,
    first: Mapping[bytes, Candidate],
    moment: datetime,
    opened_before: datetime,
) -> dict[bytes, Group]:
    """Open each group whose window has passed, or for which its first request is news, in one atomic upsert.
    Returns each group as it is then."""
    insert = ledger.insert(groups)
    anew = sa.or_(
        groups.c.opened_at <= opened_before,
        groups.c.status != insert.excluded.status,
        groups.c.level < insert.excluded.level,
    )
    upsert = insert.on_conflict_do_update(
        index_elements=[groups.c.key],
        set_={
            name: sa.case((anew, insert.excluded[name]), else_=groups.c[name])
            for name in ("notification_id", "opened_at", "status", "level")
        },
    ).returning(*tolerant.raw(groups.c.key, groups.c.notification_id, groups.c.status, groups.c.level))
    rows = [_row(key, Group.opened_by(candidate), moment) for key, candidate in first.items()]
    with tolerant.forgiving(connection):
        found = {row.key: _group(row) for row in connection.execute(upsert, rows).all()}
    older = {key: group.owner for key, group in found.items() if group and group.owner != first[key].id}
    damaged = [key for key, group in found.items() if group is None]
    silent = {key: Group.opened_by(first[key]) for key in (*_without_owner(connection, older), *damaged)}
    _write(connection, silent, moment)
    return {key: group for key, group in found.items() if group} | silent


def _group(row: Any) -> Group | None:
    """None for values that no group has: it is opened anew."""
    owner = tolerant.identity(row.notification_id)
    if isinstance(owner, UUID) and isinstance(row.status, str) and isinstance(row.level, int):
        return Group(owner, Condition(row.status, row.level))
    return None


def _row(key: bytes, group: Group, moment: datetime) -> dict[str, Any]:
    status, level = group.condition
    return {
        "key": key,
        "notification_id": group.owner,
        "opened_at": moment,
        "status": status,
        "level": level,
    }


def _without_owner(connection: sa.Connection, owners: Mapping[bytes, UUID]) -> list[bytes]:
    """Groups whose notification is not sent (it failed, expired, was cancelled, or is gone), or only later:
    the new request opens them anew, or it would be lost as a repeat."""
    if not owners:
        return []
    telling = set(
        connection.scalars(
            sa.select(notifications.c.id).where(
                notifications.c.id.in_(list(owners.values())),
                notifications.c.state.not_in(TERMINAL - {State.SENT}),
                sa.or_(notifications.c.state != State.ACCEPTED, notifications.c.due_at <= now() + SOON),
            )
        )
    )
    return [key for key, owner in owners.items() if owner not in telling]


_REOPENED = sa.update(groups).where(groups.c.key == sa.bindparam("k"))


def _write(connection: sa.Connection, reopened: Mapping[bytes, Group], moment: datetime) -> None:
    if reopened:
        rows = [_row(key, group, moment) for key, group in sorted(reopened.items())]
        connection.execute(_REOPENED, [{"k": row.pop("key"), **row} for row in rows])


def _count(
    connection: sa.Connection, repeats: Mapping[UUID, Sequence[Candidate]], own: Mapping[UUID, Candidate]
) -> None:
    """Give each repeat its receipt, and count it in its owner: a notification in the ledger, or a candidate
    of this transaction."""
    known: Counter[UUID] = Counter()
    moved: list[tuple[idempotency.Key, UUID]] = []
    for owner, same in repeats.items():
        for candidate in same:
            candidate.receipt = Receipt(
                IntakeResult.GROUPED, owner, None, "grouped into an open notification", first_state="grouped"
            )
            if candidate.key:
                moved.append((candidate.key, owner))
        if owner in own:
            own[owner].extra += len(same)
        else:
            known[owner] += len(same)
    if known:
        connection.execute(_COUNTED, [{"i": id, "more": more} for id, more in sorted(known.items())])
    idempotency.move(connection, moved)


_COUNTED = (
    sa.update(notifications)
    .where(notifications.c.id == sa.bindparam("i"))
    .values(occurrences=notifications.c.occurrences + sa.bindparam("more"))
)
