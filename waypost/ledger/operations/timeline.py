"""Explaining one notification: all that the ledger knows of it, in order.

Addresses are masked by default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.tables import (
    ITS_RECIPIENT,
    attempts,
    batches,
    events,
    holds,
    notifications,
    recipients,
    released_holds,
)
from waypost.ledger.database.tolerant import Identity
from waypost.ledger.operations.explanation import (
    Attempt,
    Explanation,
    TimelineEntry,
    attempt_lines,
    batch_lines,
    digest_line,
    hold_lines,
    in_order,
    outlook,
)
from waypost.ledger.operations.lease_status import lease_status
from waypost.ledger.operations.stats import shown_of, was_forgotten
from waypost.mail.masking import mask_in
from waypost.model.brand import DEFAULT
from waypost.model.states import State
from waypost.system.key_ring import NotOpened

Said = Callable[[str], str]  # how a text of the ledger is shown: with addresses masked, or as it stands


async def explain(ledger: Ledger, id: UUID, reveal: bool = False) -> Explanation | None:
    """The notification and its timeline, which includes that of its digest; None when the id is unknown.
    reveal: show addresses in full.

    Five index lookups: the cost does not grow with the ledger.
    """

    def work(connection: sa.Connection) -> Explanation | None:
        with tolerant.forgiving(connection):
            row = connection.execute(_notification(id)).one_or_none()
            return None if row is None else _explained(connection, id, row, ledger.lease, reveal)

    return await ledger.read(work)


def _notification(id: UUID) -> sa.Select[Any]:
    table, digest = notifications, notifications.alias("digest")
    columns = tolerant.raw(
        table.c.id, table.c.type, table.c.priority, table.c.state, table.c.reason, table.c.recipient_key,
        table.c.occurrences, table.c.accepted_at, table.c.due_at, table.c.expires_at, table.c.finished_at,
        table.c.batch_id, table.c.digest_id, table.c.client, table.c.brand, table.c.named, recipients.c.key,
        recipients.c.email, recipients.c.phone,
    )  # fmt: skip
    return (
        sa.select(
            *columns,
            *tolerant.raw(
                holds.c.since.label("held_since"),
                holds.c.reason.label("held_reason"),
                digest.c.accepted_at.label("digest_at"),
                digest.c.state.label("digest_state"),
                digest.c.batch_id.label("digest_batch"),
            ),
        )
        .select_from(table)
        .join(recipients, ITS_RECIPIENT, isouter=True)
        .join(holds, holds.c.type == table.c.type, isouter=True)
        .join(digest, digest.c.id == table.c.digest_id, isouter=True)
        .where(table.c.id == id)
    )


def _explained(connection: sa.Connection, id: UUID, row: Any, lease: timedelta, reveal: bool) -> Explanation:
    said: Said = str if reveal else mask_in
    box = sealing.of(connection)
    found = _head(box, id, row, reveal)
    own = [id, found.digest_id] if isinstance(found.digest_id, UUID) else [id]
    made = [_attempt(box, one, said) for one in _of(connection, attempts, own, attempts.c.started_at)]
    taken_by = connection.execute(_batches(own)).all()
    run_of = {tolerant.identity(one.id): tolerant.identity(one.flow_run_id) for one in taken_by}
    noted = [_event(one, run_of, said) for one in _of(connection, events, own, events.c.at)]
    happened = [
        TimelineEntry(found.accepted_at, "accepted"),
        *batch_lines(taken_by, found, made, noted),
        *(line for one in made for line in attempt_lines(one)),
        *noted,
        *digest_line(row, found),
        *hold_lines(connection.execute(_past_holds(found)).all(), found),
    ]
    if found.state in (State.CLAIMED, State.SENDING):
        holding = (one for one in taken_by if one.id == (row.digest_batch or row.batch_id))
        found = replace(found, lease=lease_status(next(holding, None), lease))
    if not any(one.what == found.state and one.at == found.finished_at for one in noted):
        happened.append(outlook(found))  # else the event tells the end, and more
    return replace(found, attempts=made, timeline=sorted(happened, key=in_order))


def _head(box: Sealing, id: UUID, row: Any, reveal: bool) -> Explanation:
    reason = tolerant.text(row.reason)
    return Explanation(
        id=id,
        type=tolerant.text(row.type),
        priority=tolerant.text(row.priority),
        recipient=shown_of(box, row, reveal),
        state=tolerant.text(row.state),
        reason=reason if reveal else mask_in(reason),
        count=row.occurrences,
        accepted_at=tolerant.moment(row.accepted_at),
        due_at=tolerant.moment(row.due_at),
        expires_at=tolerant.moment(row.expires_at),
        finished_at=tolerant.moment(row.finished_at),
        digest_id=tolerant.identity(row.digest_id),
        held_since=tolerant.moment(row.held_since),
        held_because=tolerant.text(row.held_reason),
        client=row.client and tolerant.text(row.client),
        brand=tolerant.text(row.brand) or DEFAULT,
        forgotten=_forgotten(row),
    )


_WAITS = (State.ACCEPTED, State.DEFERRED, State.HELD)


def _forgotten(row: Any) -> str:
    """Why a waiting notification will fail, if its recipient was forgotten; else empty."""
    if row.state not in _WAITS:
        return ""
    if was_forgotten(row):
        return "it will fail because its recipient was forgotten, so it has no address"
    if row.key is None:
        return "it will fail because its recipient was forgotten, unless the id gets an address before"
    return ""


def _of(
    connection: sa.Connection, table: sa.Table, own: Sequence[UUID], at: sa.Column[Any]
) -> Sequence[sa.Row[Any]]:
    """The rows of `table` that belong to those notifications, in order."""
    wanted = sa.select(*tolerant.raw(*table.c)).where(in_ids(table.c.notification_id, own))
    return connection.execute(wanted.order_by(at, table.c.id)).all()


def _batches(own: Sequence[UUID]) -> sa.Select[Any]:
    """Every batch that had the notifications: the last one, and those that attempts and events name."""
    named = sa.union(
        sa.select(notifications.c.batch_id).where(in_ids(notifications.c.id, own)),
        sa.select(attempts.c.batch_id).where(in_ids(attempts.c.notification_id, own)),
        sa.select(events.c.batch_id).where(in_ids(events.c.notification_id, own)),
    )
    return sa.select(*tolerant.raw(*batches.c)).where(batches.c.id.in_(named))


def _attempt(box: Sealing, row: Any, said: Said) -> Attempt:
    return Attempt(
        number=row.number,
        channel=tolerant.text(row.channel),
        provider=tolerant.text(row.provider),
        started_at=tolerant.moment(row.started_at),
        finished_at=tolerant.moment(row.finished_at),
        verdict=row.verdict and tolerant.text(row.verdict),
        phase=row.phase and tolerant.text(row.phase),
        code=row.code,
        enhanced=row.enhanced and tolerant.text(row.enhanced),
        words=said(_words(box, row)),
        batch=tolerant.identity(row.batch_id),
        flow_run_id=tolerant.identity(row.flow_run_id),
        template_version=tolerant.text(row.template_version) or None,
        rule=tolerant.text(row.rule) or None,
    )


def _words(box: Sealing, row: Any) -> str:
    """What the provider said, or why that cannot be shown."""
    try:
        id = tolerant.identity(row.id)
        return tolerant.text(box.opened(attempts, [id], "words", row.words))
    except NotOpened as error:
        return f"(the reply cannot be read: {error})"


def _event(row: Any, run_of: Mapping[Identity | None, Identity | None], said: Said) -> TimelineEntry:
    what, detail = tolerant.text(row.what), said(tolerant.text(row.detail))
    batch = tolerant.identity(row.batch_id)
    return TimelineEntry(tolerant.moment(row.at), what, detail, batch, run_of.get(batch))


def _past_holds(found: Explanation) -> sa.Select[Any]:
    """The released holds that were in force at some time between its acceptance and its end."""
    table = released_holds
    wanted = sa.select(*tolerant.raw(*table.c)).where(table.c.type == found.type)
    if isinstance(found.accepted_at, datetime):
        wanted = wanted.where(table.c.released_at > found.accepted_at)
    if isinstance(found.finished_at, datetime):
        wanted = wanted.where(table.c.since < found.finished_at)
    return wanted.order_by(table.c.released_at)
