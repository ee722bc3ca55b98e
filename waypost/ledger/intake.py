"""Accepting requests: durable, once per idempotency key, repeats grouped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ids import new_id
from waypost.ledger.batches import announced, open_batch
from waypost.ledger.claims import CLAIM_LIMIT
from waypost.ledger.engine import Ledger
from waypost.ledger.many import insert_many, leave_what_is_there
from waypost.ledger.notices import announce_work
from waypost.ledger.tables import batches, groups, idempotency_keys, notifications, recipients
from waypost.notification import Answer, Receipt
from waypost.notification_type import NotificationType
from waypost.request import AnyRequest
from waypost.states import TERMINAL, State

SOON = timedelta(seconds=10)  # clocks of several machines agree to this, and nobody minds it
HELD_FOR_DIGEST = timedelta(days=7)  # what waits for a digest must outlast any sensible schedule


@dataclass(slots=True)
class _Candidate:
    """A request on its way in: its own id, and what the ledger already knows of it."""

    request: AnyRequest
    id: UUID
    group: bytes | None
    body_hash: bytes = b""
    receipt: Receipt | None = None
    extra: int = 0  # repeats counted in it on its way in

    @property
    def open(self) -> bool:
        return self.receipt is None


async def accept(
    ledger: Ledger, type: NotificationType, requests: Sequence[AnyRequest], intake: UUID | None = None
) -> list[Receipt]:
    """Accept `requests` in one transaction; the receipts are in their order. A worker starts a run for
    them as soon as they are due.

    intake: a name they are all found by later.
    """
    candidates = [_candidate(type, request) for request in requests]
    return await ledger.write(lambda connection: _accept(ledger, connection, type, candidates, intake))


async def accept_for_run(
    ledger: Ledger, type: NotificationType, requests: Sequence[AnyRequest], flow_run_id: UUID | None
) -> tuple[UUID, list[Receipt]]:
    """Accept what a run brought along, and claim for it what is due at once (at most 500; the rest goes
    to other runs). Answers its batch, for `claims.take`."""
    candidates = [_candidate(type, request) for request in requests]
    fresh = new_id()

    def work(connection: sa.Connection) -> tuple[UUID, list[Receipt]]:
        batch = announced(connection, flow_run_id) or open_batch(
            connection, ledger, type.name, type.lane, 0, flow_run_id, fresh
        )
        receipts = _accept(ledger, connection, type, candidates, batch, claimed_by=batch)
        claimed = sum(receipt.state is State.CLAIMED for receipt in receipts)
        connection.execute(sa.update(batches).where(batches.c.id == batch).values(size=claimed))
        return batch, receipts

    return await ledger.persist(work)


def _accept(
    ledger: Ledger,
    connection: sa.Connection,
    type: NotificationType,
    candidates: list[_Candidate],
    intake: UUID | None,
    claimed_by: UUID | None = None,
) -> list[Receipt]:
    moment = now()
    for candidate in candidates:  # an earlier go may have been undone after it had answered them
        candidate.receipt, candidate.extra = None, 0
    _answer_repeats(connection, candidates, moment)
    _group(ledger, connection, type, candidates, moment)
    fresh = [candidate for candidate in candidates if candidate.open]
    _remember_recipients(connection, fresh, moment)
    rows = [_row(type, candidate, intake, moment) for candidate in fresh]
    if claimed_by is not None:
        _claim(rows, claimed_by, moment)
    if rows:
        insert_many(connection, notifications, rows)
        announce_work(connection)
    for candidate, row in zip(fresh, rows, strict=True):
        candidate.receipt = Receipt(Answer.ACCEPTED, candidate.id, row["state"])
    return [candidate.receipt for candidate in candidates if candidate.receipt is not None]


def _claim(rows: list[dict[str, Any]], batch: UUID, moment: datetime) -> None:
    due = [row for row in rows if row["state"] is State.ACCEPTED and row["due_at"] <= moment]
    for row in due[:CLAIM_LIMIT]:
        row.update(state=State.CLAIMED, batch_id=batch)


def _candidate(type: NotificationType, request: AnyRequest) -> _Candidate:
    made = _Candidate(request=request, id=new_id(), group=_group_key(type, request))
    if request.idempotency_key:
        rest = request.model_dump_json(exclude={"idempotency_key", "data"}, exclude_none=True)
        made.body_hash = sha256(b"\0".join((type.name.encode(), rest.encode(), request.data_json))).digest()
    return made


def _group_key(type: NotificationType, request: AnyRequest) -> bytes | None:
    if type.grouping is None:
        return None
    named = (
        type.name,
        request.recipient.key,
        str(request.digested),
        type.grouping.key(request.data),
    )
    return sha256("\0".join(named).encode()).digest()


def _answer_repeats(connection: sa.Connection, candidates: list[_Candidate], moment: datetime) -> None:
    """Give what came under a known idempotency key its first answer, or say how it conflicts."""
    keyed = [(c.request.idempotency_key, c) for c in candidates if c.request.idempotency_key]
    # Sorted, so that two transactions take the same keys in the same order and cannot deadlock.
    first = dict(reversed(keyed))
    rows = [
        {"key": key, "notification_id": c.id, "body_hash": c.body_hash, "created_at": moment}
        for key, c in sorted(first.items())
    ]
    new, known = _take_keys(connection, rows)
    known |= {key: (c.id, c.body_hash, State.ACCEPTED) for key, c in first.items() if key in new}
    for key, candidate in keyed:
        if key in new and first[key] is candidate:
            continue
        id, body_hash, state = known[key]
        if body_hash == candidate.body_hash:
            candidate.receipt = Receipt(Answer.REPEATED, id, state)
        else:
            reason = "this idempotency key was used before with another body"
            candidate.receipt = Receipt(Answer.CONFLICT, id, None, reason)


def _take_keys(
    connection: sa.Connection, rows: list[dict[str, Any]]
) -> tuple[set[str], dict[str, tuple[UUID, bytes, State]]]:
    """Which keys are new and now those of `rows`, and what is known under the others.

    A key that is in the way at one look and leads nowhere at the next was deleted in between with its
    notification, or its notification is gone without it: either way it is forgotten, and free.
    """
    new: set[str] = set()
    known: dict[str, tuple[UUID, bytes, State]] = {}
    while rows:
        inserted = insert_many(
            connection,
            idempotency_keys,
            rows,
            on_conflict=leave_what_is_there,
            returning=(idempotency_keys.c.key,),
        )
        new |= {row.key for row in inserted}
        known |= _known_keys(connection, [row["key"] for row in rows if row["key"] not in new])
        rows = [row for row in rows if row["key"] not in new and row["key"] not in known]
        _forget(connection, [row["key"] for row in rows])
    return new, known


def _forget(connection: sa.Connection, keys: list[str]) -> None:
    """Delete those of `keys` whose notification is gone."""
    if keys:
        owner = sa.exists().where(notifications.c.id == idempotency_keys.c.notification_id)
        connection.execute(sa.delete(idempotency_keys).where(idempotency_keys.c.key.in_(keys), ~owner))


def _known_keys(connection: sa.Connection, keys: list[str]) -> dict[str, tuple[UUID, bytes, State]]:
    if not keys:
        return {}
    found = connection.execute(
        sa.select(
            idempotency_keys.c.key,
            idempotency_keys.c.notification_id,
            idempotency_keys.c.body_hash,
            notifications.c.state,
        )
        .join(notifications, notifications.c.id == idempotency_keys.c.notification_id)
        .where(idempotency_keys.c.key.in_(keys))
    )
    return {key: (id, body_hash, State(state)) for key, id, body_hash, state in found}


def _group(
    ledger: Ledger,
    connection: sa.Connection,
    type: NotificationType,
    candidates: list[_Candidate],
    moment: datetime,
) -> None:
    """Count repeats into the notification that opened their group, inside its window."""
    if type.grouping is None:
        return
    grouped = [(c.group, c) for c in candidates if c.open and c.group is not None]
    first = dict(reversed(grouped))
    rows = [{"key": key, "notification_id": c.id, "opened_at": moment} for key, c in sorted(first.items())]
    if not rows:
        return
    owners = _open_groups(ledger, connection, rows, moment - type.grouping.window)
    counts: Counter[UUID] = Counter()
    moved: list[dict[str, Any]] = []
    for key, candidate in grouped:
        owner = owners[key]
        if owner == candidate.id:
            continue
        counts[owner] += 1
        candidate.receipt = Receipt(Answer.GROUPED, owner, None, "counted in an open notification")
        if candidate.request.idempotency_key:
            moved.append({"k": candidate.request.idempotency_key, "n": owner})
    _count(connection, counts, first, moved)


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
    first: dict[bytes, _Candidate],
    moved: list[dict[str, Any]],
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
    if moved:
        connection.execute(
            sa.update(idempotency_keys)
            .where(idempotency_keys.c.key == sa.bindparam("k"))
            .values(notification_id=sa.bindparam("n")),
            moved,
        )
    for id, candidate in own.items():
        candidate.extra = counts[id]


def _remember_recipients(connection: sa.Connection, fresh: list[_Candidate], moment: datetime) -> None:
    """Keep what the requests say of their recipients; what they leave out stays as it was."""
    known: dict[str, dict[str, Any]] = {}
    for candidate in fresh:
        recipient = candidate.request.recipient
        row = known.setdefault(
            recipient.key, {"key": recipient.key, "updated_at": moment, **dict.fromkeys(_TOLD)}
        )
        row.update({f: v for f in _TOLD if (v := getattr(recipient, f)) is not None})
    rows = [row for _, row in sorted(known.items())]
    insert_many(connection, recipients, rows, on_conflict=_keep_what_is_left_out)


_TOLD = ("email", "phone", "name", "locale", "timezone")


def _keep_what_is_left_out(insert: Any) -> Any:
    return insert.on_conflict_do_update(
        index_elements=[recipients.c.key],
        set_={
            "updated_at": insert.excluded.updated_at,
            **{field: sa.func.coalesce(insert.excluded[field], recipients.c[field]) for field in _TOLD},
        },
    )


def _row(
    type: NotificationType, candidate: _Candidate, intake: UUID | None, moment: datetime
) -> dict[str, Any]:
    request = candidate.request
    life = HELD_FOR_DIGEST if request.digested else type.deadline
    due = max(request.deliver_at or moment, moment)
    deadline = due + life
    return {
        "id": candidate.id,
        "type": type.name,
        "priority": request.priority or type.lane,
        "recipient_key": request.recipient.key,
        "data": request.data_json,
        "state": State.HELD if request.digested else State.ACCEPTED,
        "reason": "digest" if request.digested else "",
        "occurrences": 1 + candidate.extra,
        "intake_id": intake,
        "batch_id": None,
        "accepted_at": moment,
        "due_at": due,
        "expires_at": min(deadline, request.expires_at or deadline),
    }
