"""Accepting requests: durable, once per idempotency key, repeats grouped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing
from waypost.ledger.database.bulk import insert_many
from waypost.ledger.database.ledger import Ledger, is_transient
from waypost.ledger.database.signal_work import announce_work
from waypost.ledger.database.tables import batches, notifications, recipients, tags
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.intake.commit_recovery import accepted_for_sure, repeatable
from waypost.ledger.intake.grouping import count_repeats
from waypost.ledger.intake.idempotency import answer_repeats, answer_twins
from waypost.ledger.intake.reachability import refuse_unreachable
from waypost.ledger.queue.batches import announced, keep_open, open_batch
from waypost.ledger.records.recipients import Who, first_generation
from waypost.model.notification_type import NotificationType
from waypost.model.receipt import IntakeResult, Receipt
from waypost.model.request import FIELDS, AnyRequest
from waypost.model.states import State
from waypost.policy.acceptance import unbranded
from waypost.system.clock import now
from waypost.system.ids import new_id
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.outage import is_outage

T = TypeVar("T")

HELD_FOR_DIGEST = timedelta(days=7)  # longer than any sensible schedule of a digest


async def accept(
    ledger: Ledger, type: NotificationType, requests: Sequence[AnyRequest], intake: UUID | None = None
) -> list[Receipt]:
    """Accept `requests` in one transaction; the receipts are in their order. A worker starts a run for
    them as soon as they are due.

    intake: an id by which they can all be found later.
    """
    return await accept_all(ledger, [Candidate(type, request) for request in requests], intake)


async def accept_each(
    ledger: Ledger, type: NotificationType, requests: Sequence[AnyRequest], intake: UUID | None = None
) -> list[Receipt | ItemFailed]:
    """Like `accept`, but a request that cannot be accepted fails alone."""
    asked = [_candidate(type, request) for request in requests]
    candidates = [one for one in asked if isinstance(one, Candidate)]

    def run(accepting: Accepting) -> Awaitable[Sequence[Receipt | ItemFailed]]:
        return accepted_for_sure(
            ledger, candidates, lambda connection: accepting(ledger, connection, candidates, intake, None)
        )

    return _in_order(asked, await _or_singly(run))


async def try_each(
    ledger: Ledger, type: NotificationType, requests: Sequence[AnyRequest]
) -> list[Receipt | ItemFailed]:
    """The answers that `accept_each` would give. Nothing is accepted."""
    asked = [_candidate(type, request) for request in requests]
    candidates = [one for one in asked if isinstance(one, Candidate)]

    def work(connection: sa.Connection, accepting: Accepting) -> Sequence[Receipt | ItemFailed]:
        tried = connection.begin_nested()
        try:
            return accepting(ledger, connection, candidates, None, None)
        finally:
            tried.rollback()

    def run(accepting: Accepting) -> Awaitable[Sequence[Receipt | ItemFailed]]:
        return ledger.write(lambda connection: work(connection, accepting))

    return _in_order(asked, await _or_singly(run))


async def accept_all(
    ledger: Ledger, candidates: Sequence[Candidate], intake: UUID | None = None
) -> list[Receipt]:
    """Like `accept`, for requests of several types and clients."""
    return await accepted_for_sure(
        ledger, candidates, lambda connection: _accept(ledger, connection, candidates, intake)
    )


async def accept_whole(ledger: Ledger, candidates: Sequence[Candidate]) -> list[Receipt]:
    """Like `accept_all`, but if one request is refused, or conflicts with an earlier request under its key,
    none is accepted. The receipts then only tell which one it is."""

    def work(connection: sa.Connection) -> list[Receipt]:
        receipts = _accept(ledger, connection, candidates, None)
        if any(receipt.outcome in (IntakeResult.CONFLICT, IntakeResult.REFUSED) for receipt in receipts):
            raise _Undone(receipts)
        return receipts

    try:
        return await accepted_for_sure(ledger, candidates, work)
    except _Undone as undone:
        return undone.receipts


class _Undone(Exception):
    def __init__(self, receipts: list[Receipt]) -> None:
        super().__init__()
        self.receipts = receipts


async def accept_for_run(
    ledger: Ledger,
    type: NotificationType,
    requests: Sequence[AnyRequest],
    flow_run_id: UUID | None,
    brands: Collection[str] | None = None,
) -> tuple[UUID, list[Receipt | ItemFailed]]:
    """Accept the requests that a run brought along, and claim those due at once for it (at most the type's
    batch size; the rest go to other runs). A request that cannot be accepted fails alone, as does a
    request for a brand that is not among `brands`, if these are given. Returns the batch, for
    `claims.take_up`, and the receipts."""
    asked = [_candidate(type, request, brands) for request in requests]
    candidates = [one for one in asked if isinstance(one, Candidate)]
    fresh = new_id()

    def work(connection: sa.Connection, accepting: Accepting) -> tuple[UUID, Sequence[Receipt | ItemFailed]]:
        batch = announced(connection, flow_run_id)
        if batch is None or not keep_open(connection, ledger, batch):
            batch = open_batch(connection, ledger, type.name, type.lane, 0, flow_run_id, fresh)
        claim = _Claim(batch, type.batch_size)
        receipts = accepting(ledger, connection, candidates, batch, claim)
        size = type.batch_size - claim.room
        connection.execute(sa.update(batches).where(batches.c.id == batch).values(size=size))
        return batch, receipts

    def run(accepting: Accepting) -> Awaitable[tuple[UUID, Sequence[Receipt | ItemFailed]]]:
        return ledger.write_until_durable(
            repeatable(candidates, lambda connection: work(connection, accepting))
        )

    batch, receipts = await _or_singly(run)
    return batch, _in_order(asked, receipts)


def _candidate(
    type: NotificationType, request: AnyRequest, brands: Collection[str] | None = None
) -> Candidate | ItemFailed:
    """The request as a candidate. A type's own grouping key may raise."""
    if brands is not None and (wrong := unbranded(request, type, brands)):
        return ItemFailed("{}: {}".format(*wrong[0]))
    try:
        with isolated("accepting"):
            return Candidate(type, request)
    except ItemFailed as failed:
        return failed


def _in_order(
    asked: Sequence[Candidate | ItemFailed], receipts: Sequence[Receipt | ItemFailed]
) -> list[Receipt | ItemFailed]:
    answers = iter(receipts)
    return [one if isinstance(one, ItemFailed) else next(answers) for one in asked]


@dataclass(slots=True)
class _Claim:
    """The batch for notifications due at once. room: how many more it takes."""

    batch: UUID
    room: int


Accepting = Callable[
    [Ledger, sa.Connection, Sequence[Candidate], UUID | None, _Claim | None], Sequence[Receipt | ItemFailed]
]


async def _or_singly(run: Callable[[Accepting], Awaitable[T]]) -> T:
    """Run with all candidates accepted together. If that fails, and not by an outage, run again with each of
    them accepted alone."""
    try:
        return await run(_accept)
    except Exception as error:
        if is_outage(error):
            raise
    return await run(_accept_singly)


def _accept_singly(
    ledger: Ledger,
    connection: sa.Connection,
    candidates: Sequence[Candidate],
    intake: UUID | None,
    claim: _Claim | None,
) -> list[Receipt | ItemFailed]:
    answers: list[Receipt | ItemFailed] = []
    for one in candidates:
        try:
            with isolated("accepting", outage=is_transient), connection.begin_nested():
                answers += _accept(ledger, connection, [one], intake, claim)
        except ItemFailed as failed:
            answers.append(failed)
    return answers


def _accept(
    ledger: Ledger,
    connection: sa.Connection,
    candidates: Sequence[Candidate],
    intake: UUID | None,
    claim: _Claim | None = None,
) -> list[Receipt]:
    moment, box = now(), sealing.of(connection)
    box.prepare(connection)
    for candidate in candidates:  # an earlier try may have been rolled back after it had set these
        candidate.receipt, candidate.twin, candidate.extra = None, None, 0
    answer_repeats(connection, candidates, moment)
    if claim is None:  # a run's own requests are not refused: the ledger shows what they lack
        refuse_unreachable(connection, candidates)
    for type in {one.type.name: one.type for one in candidates}.values():
        count_repeats(ledger, connection, type, [one for one in candidates if one.type is type], moment)
    fresh = [candidate for candidate in candidates if candidate.open]
    keys = {key: box.stored_key(connection, key) for _, key in {one.recipient for one in fresh}}
    _remember_recipients(connection, fresh, keys, moment)
    rows = [_row(one, keys[one.recipient[1]], intake, moment) for one in fresh]
    if claim is not None:
        _take(rows, claim, moment)
    if rows:
        insert_many(connection, notifications, rows, prepare=partial(box.sealed_all, notifications))
        insert_many(connection, tags, [row for candidate in fresh for row in _tags(candidate)])
        announce_work(connection)
    for candidate, row in zip(fresh, rows, strict=True):
        candidate.receipt = Receipt(
            IntakeResult.ACCEPTED, candidate.id, row["state"], first_state=candidate.begins
        )
    answer_twins(candidates)
    return [candidate.receipt for candidate in candidates if candidate.receipt is not None]


def _take(rows: list[dict[str, Any]], claim: _Claim, moment: datetime) -> None:
    due = [row for row in rows if row["state"] is State.ACCEPTED and row["due_at"] <= moment]
    for row in due[: claim.room]:
        row.update(state=State.CLAIMED, batch_id=claim.batch)
    claim.room -= min(len(due), claim.room)


def _tags(candidate: Candidate) -> list[dict[str, Any]]:
    return [{"tag": tag, "notification_id": candidate.id} for tag in dict.fromkeys(candidate.request.tags)]


def _remember_recipients(
    connection: sa.Connection, fresh: list[Candidate], keys: Mapping[str, str], moment: datetime
) -> None:
    """Store what the requests say of their recipients. A client's request only fills in unknown fields: known
    fields change by the recipients route, which is for keys that manage. Without a client there is no such
    route, so the latest request wins. keys: the ledger's key of each recipient's."""
    known: dict[Who, dict[str, Any]] = {}
    new = {"updated_at": moment, "link_generation": first_generation(moment), **_NOTHING}
    for candidate in fresh:
        who = client, key = candidate.recipient
        row = known.get(who)
        if row is None:
            known[who] = {"client": client, "key": keys[key], **new, **candidate.named}
        elif client:
            row.update({field: value for field, value in candidate.named.items() if row[field] is None})
        else:
            row.update(candidate.named)
    rows = sorted(known.values(), key=itemgetter("client", "key"))
    box = sealing.of(connection)
    insert_many(connection, recipients, box.sealed_all(recipients, rows), on_conflict=_fill_in)


_NOTHING = dict.fromkeys(FIELDS)


def _fill_in(insert: Any) -> Any:
    """Always set updated_at: retention goes by it, and must not delete a recipient that was just named."""
    new, old = insert.excluded, recipients.c
    filled = {
        field: sa.case(
            (old.client == sa.literal_column("''"), sa.func.coalesce(new[field], old[field])),
            else_=sa.func.coalesce(old[field], new[field]),
        )
        for field in FIELDS
    }
    return insert.on_conflict_do_update(
        index_elements=[old.client, old.key], set_={"updated_at": new.updated_at, **filled}
    )


def _row(candidate: Candidate, key: str, intake: UUID | None, moment: datetime) -> dict[str, Any]:
    type, request = candidate.type, candidate.request
    life = HELD_FOR_DIGEST if request.digested else type.deadline
    due = max(request.deliver_at or moment, moment)
    deadline = due + life
    return {
        "id": candidate.id,
        "type": type.name,
        "priority": request.priority or type.lane,
        "recipient_key": key,
        "data": request.data_json,
        "state": candidate.begins,
        "reason": "digest" if request.digested else "",
        "occurrences": 1 + candidate.extra,
        "intake_id": intake,
        "batch_id": None,
        "accepted_at": moment,
        "due_at": due,
        "expires_at": min(deadline, request.expires_at or deadline),
        "client": candidate.client or None,
        "channels": request.channels,
        "named": candidate.named or None,
        "brand": candidate.brand,
    }
