"""States and last providers of some notifications."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import attempts, notifications
from waypost.model.outcome import Verdict
from waypost.model.states import State


async def states(ledger: Ledger, ids: Sequence[UUID]) -> dict[UUID, State]:
    """The state of each of those notifications; unknown ids are left out."""
    wanted = sa.select(notifications.c.id, notifications.c.state).where(in_ids(notifications.c.id, ids))
    rows = await ledger.read(lambda connection: connection.execute(wanted).all())
    return {id: State(state) for id, state in rows}


async def providers_in_doubt(ledger: Ledger, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The provider of the last UNKNOWN attempt of each notification, where there is one."""
    last = (
        sa.select(attempts.c.notification_id, sa.func.max(attempts.c.number).label("number"))
        .where(in_ids(attempts.c.notification_id, ids), attempts.c.verdict == Verdict.UNKNOWN)
        .group_by(attempts.c.notification_id)
        .subquery()
    )
    wanted = sa.select(attempts.c.notification_id, attempts.c.provider).join(
        last,
        sa.and_(attempts.c.notification_id == last.c.notification_id, attempts.c.number == last.c.number),
    )
    return dict(await ledger.read(lambda connection: connection.execute(wanted).tuples().all()))
