"""Grouping: repeats inside a window are one notification with a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ledger import idempotency
from waypost.ledger.candidate import Candidate
from waypost.ledger.engine import Ledger
from waypost.ledger.tables import groups, notifications
from waypost.notification import Answer, Receipt
from waypost.notification_type import NotificationType
from waypost.states import TERMINAL, State

SOON = timedelta(seconds=10)  # clocks of several machines agree to this, and nobody minds it


def count_repeats(
    ledger: Ledger,
    connection: sa.Connection,
    type: NotificationType,
    candidates: Sequence[Candidate],
    moment: datetime,
) -> None:
    """Count repeats of a type into the notification that opened their group, inside its window."""
    if type.grouping is None:
        return
    grouped = [(c.group, c) for c in candidates if c.open and c.group is not None]
    first = dict(reversed(grouped))
    rows = [{"key": key, "notification_id": c.id, "opened_at": moment} for key, c in sorted(first.items())]
    if not rows:
        return
    owners = _open_groups(ledger, connection, rows, moment - type.grouping.window)
    counts: Counter[UUID] = Counter()
    moved: list[tuple[idempotency.Key, UUID]] = []
    for key, candidate in grouped:
        owner = owners[key]
        if owner == candidate.id:
            continue
        counts[owner] += 1
        candidate.receipt = Receipt(
            Answer.GROUPED, owner, None, "counted in an open notification", began="grouped"
        )
        if candidate.key:
            moved.append((candidate.key, owner))
    _count(connection, counts, first)
    idempotency.move(connection, moved)


def _open_groups(
    ledger: Ledger, connection: sa.Connection, rows: list[dict[str, Any]], opened_before: datetime
) -> dict[bytes, UUID]:
    """Open each group whose window has passed; answer who owns each, in one atomic upsert."""
    insert = ledger.insert(groups)
    stale = groups.c.opened_at <= opened_before
    upsert = insert.on_conflict_do_update(
        index_elements=[groups.c.key],
        set_={
            "notification_id": sa.case(
                (stale, insert.excluded.notification_id), else_=groups.c.notification_id
            ),
            "opened_at": sa.case((stale, insert.excluded.opened_at), else_=groups.c.opened_at),
        },
    ).returning(groups.c.key, groups.c.notification_id)
    owners = {row.key: row.notification_id for row in connection.execute(upsert, rows)}
    own = {row["key"]: row["notification_id"] for row in rows}
    return owners | _without_owner(connection, owners, own, rows[0]["opened_at"])


def _without_owner(
    connection: sa.Connection, owners: dict[bytes, UUID], own: dict[bytes, UUID], moment: datetime
) -> dict[bytes, UUID]:
    """Groups whose owner will tell nobody (it failed, expired, was withdrawn, or is gone), or not until
    later: the newcomer opens them anew, or its repeat would be swallowed."""
    older = [id for key, id in owners.items() if id != own[key]]
    if not older:
        return {}
    telling = set(
        connection.scalars(
            sa.select(notifications.c.id).where(
                notifications.c.id.in_(older),
                notifications.c.state.not_in(TERMINAL - {State.SENT}),
                sa.or_(notifications.c.state != State.ACCEPTED, notifications.c.due_at <= now() + SOON),
            )
        )
    )
    taken = {key: own[key] for key, id in owners.items() if id != own[key] and id not in telling}
    for key, id in sorted(taken.items()):
        connection.execute(
            sa.update(groups).where(groups.c.key == key).values(notification_id=id, opened_at=moment)
        )
    return taken


def _count(
    connection: sa.Connection,
    counts: Counter[UUID],
    first: dict[bytes, Candidate],
) -> None:
    own = {c.id: c for c in first.values() if c.open}
    known = [{"i": id, "more": more} for id, more in sorted(counts.items()) if id not in own]
    if known:
        connection.execute(
            sa.update(notifications)
            .where(notifications.c.id == sa.bindparam("i"))
            .values(occurrences=notifications.c.occurrences + sa.bindparam("more")),
            known,
        )
    for id, candidate in own.items():
        candidate.extra = counts[id]
