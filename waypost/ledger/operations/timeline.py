"""Explaining one notification: everything the ledger knows of it, in order, with addresses masked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
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
from waypost.ledger.database.tolerant import Identity, Moment
from waypost.ledger.operations.lease_status import LeaseStatus, lease_status
from waypost.ledger.operations.stats import shown_of, was_forgotten
from waypost.ledger.queue.batches import BatchResult
from waypost.mail.masking import mask_in
from waypost.model.outcome import Phase, Verdict
from waypost.model.states import TERMINAL, State
from waypost.system.clock import now


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: where, when, and the provider's own words. Without a verdict it is being made, or is in
    doubt."""

    number: int | str
    channel: str
    provider: str
    started_at: Moment | None
    finished_at: Moment | None
    verdict: str | None
    phase: str | None
    code: int | str | None
    enhanced: str | None
    words: str
    batch: Identity | None
    flow_run_id: Identity | None


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of a timeline. at: None when the ledger does not say. run: the Prefect run it was in."""

    at: Moment | None
    what: str
    detail: str = ""
    batch: Identity | None = None
    run: Identity | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything the ledger knows of one notification, without its facts. Damaged values are shown as they
    stand there.

    forgotten: why it will fail when its turn comes, if its recipient was forgotten; empty otherwise.
    client: the client of its API key; None without one. count: how many requests were grouped into it.
    held_since: when its type was held; None when it is not.
    lease: the lease under which it is claimed; None when it is not.
    """

    id: UUID
    type: str
    priority: str
    recipient: str
    state: str
    reason: str
    count: int | str
    accepted_at: Moment | None
    due_at: Moment | None
    expires_at: Moment | None
    finished_at: Moment | None
    digest_id: Identity | None
    held_since: Moment | None
    held_because: str
    client: str | None = None
    forgotten: str = ""
    lease: LeaseStatus | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    timeline: list[TimelineEntry] = field(default_factory=list[TimelineEntry])


async def explain(ledger: Ledger, id: UUID) -> Explanation | None:
    """The notification and its timeline, which includes that of its digest; None when the id is unknown.

    Five index lookups: the cost does not grow with the ledger.
    """

    def work(connection: sa.Connection) -> Explanation | None:
        with tolerant.forgiving(connection):
            row = connection.execute(_notification(id)).one_or_none()
            return None if row is None else _explained(connection, id, row, ledger.lease)

    return await ledger.read(work)


def _notification(id: UUID) -> sa.Select[Any]:
    table, digest = notifications, notifications.alias("digest")
    columns = tolerant.raw(
        table.c.type, table.c.priority, table.c.state, table.c.reason, table.c.recipient_key,
        table.c.occurrences, table.c.accepted_at, table.c.due_at, table.c.expires_at, table.c.finished_at,
        table.c.batch_id, table.c.digest_id, table.c.client, table.c.named, recipients.c.key,
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


def _explained(connection: sa.Connection, id: UUID, row: Any, lease: timedelta) -> Explanation:
    found = _head(id, row)
    own = [id, found.digest_id] if isinstance(found.digest_id, UUID) else [id]
    made = [_attempt(one) for one in _of(connection, attempts, own, attempts.c.started_at)]
    taken_by = connection.execute(_batches(own)).all()
    run_of = {tolerant.identity(one.id): tolerant.identity(one.flow_run_id) for one in taken_by}
    noted = [_event(one, run_of) for one in _of(connection, events, own, events.c.at)]
    happened = [
        TimelineEntry(found.accepted_at, "accepted"),
        *_runs(taken_by, found, made, noted),
        *(line for one in made for line in _tries(one)),
        *noted,
        *_digest(row, found),
        *_holds(connection, found),
    ]
    if found.state in (State.CLAIMED, State.SENDING):
        holding = (one for one in taken_by if one.id == (row.digest_batch or row.batch_id))
        found = replace(found, lease=lease_status(next(holding, None), lease))
    return replace(found, attempts=made, timeline=sorted([*happened, _outlook(found)], key=_when))


def _head(id: UUID, row: Any) -> Explanation:
    return Explanation(
        id=id,
        type=tolerant.text(row.type),
        priority=tolerant.text(row.priority),
        recipient=shown_of(row),
        state=tolerant.text(row.state),
        reason=mask_in(tolerant.text(row.reason)),
        count=row.occurrences,
        accepted_at=tolerant.moment(row.accepted_at),
        due_at=tolerant.moment(row.due_at),
        expires_at=tolerant.moment(row.expires_at),
        finished_at=tolerant.moment(row.finished_at),
        digest_id=tolerant.identity(row.digest_id),
        held_since=tolerant.moment(row.held_since),
        held_because=tolerant.text(row.held_reason),
        client=row.client and tolerant.text(row.client),
        forgotten=_forgotten(row),
    )


_WAITS = (State.ACCEPTED, State.DEFERRED, State.HELD)


def _forgotten(row: Any) -> str:
    """Why a waiting notification will fail, if its recipient was forgotten; else empty."""
    if row.state not in _WAITS:
        return ""
    if was_forgotten(row):
        return "it will fail, as its recipient was forgotten: there is no address any more"
    if row.key is None:
        return "it will fail, as its recipient was forgotten, unless an address for that id is given before"
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


def _attempt(row: Any) -> Attempt:
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
        words=mask_in(tolerant.text(row.words)),
        batch=tolerant.identity(row.batch_id),
        flow_run_id=tolerant.identity(row.flow_run_id),
    )


def _event(row: Any, run_of: Mapping[Identity | None, Identity | None]) -> TimelineEntry:
    what, detail = tolerant.text(row.what), mask_in(tolerant.text(row.detail))
    batch = tolerant.identity(row.batch_id)
    return TimelineEntry(tolerant.moment(row.at), what, detail, batch, run_of.get(batch))


def _tries(attempt: Attempt) -> Iterator[TimelineEntry]:
    """An attempt as two lines: begun, and how it ended."""
    name, through = f"attempt {attempt.number}", f"{attempt.channel} through {attempt.provider}"
    where = {"batch": attempt.batch, "run": attempt.flow_run_id}
    if attempt.verdict is None:
        waits = "no outcome recorded yet: it is on the wire, or in doubt"
        yield TimelineEntry(attempt.started_at, f"{name} begun", f"{through}; {waits}", **where)
        return
    yield TimelineEntry(attempt.started_at, f"{name} begun", through, **where)
    verdict = "in doubt" if attempt.verdict == Verdict.UNKNOWN else attempt.verdict
    yield TimelineEntry(attempt.finished_at, f"{name} {verdict}", _answer(attempt), **where)


def _answer(attempt: Attempt) -> str:
    """The provider's response, and how far the message had come: for a mail server as the SMTP command it
    responded to, for others in words."""
    code, words, far = attempt.code, attempt.words, ""
    if attempt.phase and attempt.channel == "email" and code:
        far = f"at {attempt.phase}"
    elif attempt.verdict == Verdict.UNKNOWN:
        far = "it may have arrived"
    elif attempt.phase and attempt.verdict != Verdict.ACCEPTED:
        far = _FAR.get(attempt.phase, f"at {attempt.phase}")
    said = [
        None if words.startswith(f"HTTP {code}") else code,
        attempt.enhanced,
        None if words == attempt.verdict else words,
        f"({far})" if far else None,
    ]
    return " ".join(str(word) for word in said if word)


_FAR: Mapping[str, str] = {
    **dict.fromkeys((Phase.CONNECT, Phase.MAIL, Phase.RCPT), "before the message was handed over"),
    Phase.DATA: "while the message was handed over",
    Phase.DOT: "in answer to the message",
}


def _runs(
    taken_by: Sequence[Any], found: Explanation, made: Sequence[Attempt], noted: Sequence[TimelineEntry]
) -> Iterator[TimelineEntry]:
    """The batches it was in: claimed, taken up by a run, and the end, if no other line tells it."""
    told = {one.batch for one in (*noted, *made)}
    for row in taken_by:
        where = {"batch": tolerant.identity(row.id), "run": tolerant.identity(row.flow_run_id)}
        claimed, ended = tolerant.moment(row.created_at), tolerant.moment(row.ended_at)
        if isinstance(claimed, datetime) and isinstance(found.accepted_at, datetime):
            # The batch of a run that brings its own requests is older than they are.
            claimed = max(claimed, found.accepted_at)
        by = f"by {tolerant.text(row.owner)}"
        if row.taken_at is None:
            yield TimelineEntry(claimed, "claimed", f"in a batch of {row.size}, {by}", **where)
        else:
            yield TimelineEntry(claimed, "claimed", f"in a batch of {row.size}", **where)
            yield TimelineEntry(tolerant.moment(row.taken_at), "taken up by its run", by, **where)
        if row.ending == BatchResult.DIRECT:
            why = "Prefect did not answer, so no run shows it"
            yield TimelineEntry(
                ended, "sent without Prefect", f"{why}: {tolerant.text(row.summary)}", **where
            )
        elif row.ending == BatchResult.LOST and where["batch"] not in told:
            yield TimelineEntry(ended, "run lost", "nothing of it had been sent", **where)
        elif row.ending == BatchResult.RETURNED:
            yield TimelineEntry(
                ended, "given back", "what had not been sent goes out with another run", **where
            )


def _digest(row: Any, found: Explanation) -> Iterator[TimelineEntry]:
    if found.digest_id is not None:
        state = tolerant.text(row.digest_state) or "gone from the ledger"
        yield TimelineEntry(tolerant.moment(row.digest_at), "put in a digest", f"{found.digest_id}: {state}")


def _holds(connection: sa.Connection, found: Explanation) -> Iterator[TimelineEntry]:
    """The holds on its type, and the releases, that the notification waited for."""
    past = connection.execute(_past_holds(found)).all()
    for row in past if found.digest_id is None else ():
        released = tolerant.moment(row.released_at)
        if not _ended_running(found, released):
            since = _waited_since(found, tolerant.moment(row.since))
            yield TimelineEntry(since, "its type is held", tolerant.text(row.reason))
            yield TimelineEntry(released, "its type is released")
    if found.held_since is not None and found.state not in TERMINAL:
        yield TimelineEntry(_waited_since(found, found.held_since), "its type is held", found.held_because)


def _past_holds(found: Explanation) -> sa.Select[Any]:
    """The released holds that were in force at some time between its acceptance and its end."""
    table = released_holds
    wanted = sa.select(*tolerant.raw(*table.c)).where(table.c.type == found.type)
    if isinstance(found.accepted_at, datetime):
        wanted = wanted.where(table.c.released_at > found.accepted_at)
    if isinstance(found.finished_at, datetime):
        wanted = wanted.where(table.c.since < found.finished_at)
    return wanted.order_by(table.c.released_at)


def _ended_running(found: Explanation, released: Moment | None) -> bool:
    """Whether it was being sent during the hold, and ended before the release."""
    ended = found.finished_at
    waited = found.state in (State.EXPIRED, State.CANCELLED)
    return not waited and isinstance(ended, datetime) and isinstance(released, datetime) and ended < released


def _waited_since(found: Explanation, held: Moment | None) -> Moment | None:
    """The start of the wait: a hold may be older than the notification."""
    if isinstance(held, datetime) and isinstance(found.accepted_at, datetime):
        return max(held, found.accepted_at)
    return held


def _outlook(found: Explanation) -> TimelineEntry:
    """Where it is now: its end, or what it waits for."""
    if found.state in TERMINAL:
        return TimelineEntry(found.finished_at, found.state, found.reason.removeprefix(found.state).lstrip())
    match found.state:
        case State.ACCEPTED | State.DEFERRED:
            return _wait(found)
        case State.HELD if found.reason == "digest":
            return TimelineEntry(None, "held", _and_then("waits for its digest", found.forgotten))
        case State.HELD:
            return TimelineEntry(None, "held", _and_then(found.reason, found.forgotten))
        case State.CLAIMED | State.SENDING:
            return TimelineEntry(None, found.state, _in_hand(found))
        case _:
            return TimelineEntry(
                found.finished_at, found.state, f"no state that Waypost knows; {found.reason}"
            )


def _wait(found: Explanation) -> TimelineEntry:
    """Until when it waits, or since when and for what."""
    what = "due again" if found.state == State.DEFERRED else "due"
    held = "waits until its type is released" if found.held_since else ""
    if isinstance(found.due_at, datetime) and found.due_at <= now():
        since = f"since {found.due_at:%Y-%m-%d %H:%M:%S} UTC; {held or 'waits for a run'}"
        return TimelineEntry(None, what, _and_then(since, found.reason, found.forgotten))
    waits = _and_then(found.reason, held) or "waits until then"
    return TimelineEntry(found.due_at, what, _and_then(waits, found.forgotten))


def _and_then(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _in_hand(found: Explanation) -> str:
    told = str(found.lease) if found.lease else "in no open batch"
    return f"in a digest, {told}" if found.digest_id else told


def _when(line: TimelineEntry) -> tuple[datetime, int, str, int]:
    """The sort key: by time. At the same moment: the acceptance, then batch by batch (their ids are in the
    order they were made), then lines without a batch."""
    at = line.at if isinstance(line.at, datetime) else _LAST
    if line.what in _FIRST:
        return at, 0, "", _FIRST.index(line.what)
    if line.batch is None:
        return at, 2, "", 0
    return at, 1, str(line.batch), _IN_BATCH.index(line.what) if line.what in _IN_BATCH else len(_IN_BATCH)


_FIRST = ("accepted", "put in a digest")
_IN_BATCH = ("claimed", "taken up by its run")
_LAST = datetime.max.replace(tzinfo=UTC)
