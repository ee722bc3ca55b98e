"""Late responses: they come when their attempt is already UNKNOWN, because a reaper took the notification
back or the server was slow.

Each settles the doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.tables import attempts, notifications
from waypost.ledger.queue.digest_items import copy_to_items
from waypost.ledger.queue.timeline_events import note_events
from waypost.model.outcome import Verdict
from waypost.model.states import TERMINAL, State
from waypost.policy.retry import Decision

if TYPE_CHECKING:
    from waypost.ledger.queue.attempts import AttemptFinished

# A sent message is sent, even if the notification has expired or failed since. Another run that has claimed
# the notification and not begun finds it gone.
_BECOMES_SENT = (
    State.ACCEPTED, State.DEFERRED, State.CLAIMED, State.HELD, State.EXPIRED, State.FAILED
)  # fmt: skip
_BECOMES_OTHER = (State.DEFERRED, State.HELD)  # the states that a doubt leaves


def settle_doubts(
    connection: sa.Connection, finishes: Sequence[AttemptFinished], answers: Mapping[UUID, Mapping[str, Any]]
) -> set[UUID]:
    """Write those of `finishes` whose attempt is marked UNKNOWN and is the last of its notification.
    Returns the ids of the notifications that moved.

    answers: the columns of each attempt's row, by attempt id.
    """
    late = {
        attempt: finish
        for finish in finishes
        if (attempt := finish.attempt) and (answer := answers.get(attempt)) and _is_known(answer)
    }
    settled: set[UUID] = set()
    for attempt, state in _in_doubt(connection, late).items():
        decision = _decision(late[attempt].decision)
        if state in (_BECOMES_SENT if decision.state is State.SENT else _BECOMES_OTHER):
            connection.execute(sa.update(attempts).where(attempts.c.id == attempt).values(answers[attempt]))
            _move(connection, late[attempt], decision)
            settled.add(late[attempt].notification_id)
    return settled


def _in_doubt(connection: sa.Connection, late: Mapping[UUID, AttemptFinished]) -> dict[UUID, str]:
    """The attempts that are in doubt and the last of their notifications, and the notifications' states."""
    if not late:
        return {}
    ids = [finish.notification_id for finish in late.values()]
    # First the lock, so that the next statement sees an attempt that another run has just begun.
    connection.execute(sa.select(notifications.c.id).where(in_ids(notifications.c.id, ids)).with_for_update())
    later = attempts.alias("later")
    begun_again = sa.exists().where(
        later.c.notification_id == attempts.c.notification_id, later.c.number > attempts.c.number
    )
    found = connection.execute(
        sa.select(attempts.c.id, notifications.c.state)
        .join(notifications, notifications.c.id == attempts.c.notification_id)
        .where(
            in_ids(attempts.c.id, list(late)),
            attempts.c.verdict == Verdict.UNKNOWN,
            ~begun_again,
        )
    )
    return dict(found.tuples().all())


def _is_known(answer: Mapping[str, Any]) -> bool:
    return answer["verdict"] != Verdict.UNKNOWN


def _decision(decision: Decision) -> Decision:
    """A notification that would have gone on in its run goes on in another."""
    goes_on = decision.state in (State.SENDING, State.CLAIMED)
    return Decision(State.ACCEPTED) if goes_on else decision


def _move(connection: sa.Connection, finish: AttemptFinished, decision: Decision) -> None:
    doubts, own = notifications.c.in_doubt, [finish.notification_id]
    values: dict[str, Any] = {
        "state": decision.state,
        "reason": decision.reason,
        "step": finish.step,
        "finished_at": finish.finished_at if decision.state in TERMINAL else None,
    }
    if decision.due is not None:
        values["due_at"] = decision.due
    connection.execute(
        sa.update(notifications)
        .where(notifications.c.id == finish.notification_id)
        .values(in_doubt=sa.case((doubts > 0, doubts - 1), else_=0), **values)
    )
    if decision.state in TERMINAL:
        copy_to_items(connection, own, values)
    note_events(connection, own, "late response", "it settles the doubt", finish.batch)
