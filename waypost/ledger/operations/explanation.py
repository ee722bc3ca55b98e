"""What is known of one notification, and the lines of its timeline: pure functions, no IO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from waypost.ledger.database import tolerant
from waypost.ledger.database.tolerant import Identity, Moment
from waypost.ledger.operations.lease_status import LeaseStatus
from waypost.ledger.queue.batches import BatchResult
from waypost.model.brand import DEFAULT
from waypost.model.outcome import Phase, Verdict
from waypost.model.permission import Rule
from waypost.model.states import TERMINAL, State
from waypost.system.clock import now


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: where, when, and the provider's own words. Without a verdict it is being made, or is in
    doubt. template_version: of the templates that rendered its message; None without any. rule: what allowed
    it; None for an attempt of before there were rules."""

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
    template_version: str | None = None
    rule: str | None = None


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
    client: the client of its API key; None without one. brand: whose mail it is. count: how many requests
    were grouped into it.
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
    brand: str = DEFAULT
    forgotten: str = ""
    lease: LeaseStatus | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    timeline: list[TimelineEntry] = field(default_factory=list[TimelineEntry])


def attempt_lines(attempt: Attempt) -> Iterator[TimelineEntry]:
    """An attempt as two lines: begun, and how it ended."""
    name, through = f"attempt {attempt.number}", f"{attempt.channel} through {attempt.provider}"
    if attempt.template_version:
        through += f", templates {attempt.template_version}"
    if attempt.rule:
        through += f", {_allowed(attempt.rule)}"
    where = {"batch": attempt.batch, "run": attempt.flow_run_id}
    if attempt.verdict is None:
        waits = "no outcome recorded yet; it is on the wire, or in doubt"
        yield TimelineEntry(attempt.started_at, f"{name} started", f"{through}; {waits}", **where)
        return
    yield TimelineEntry(attempt.started_at, f"{name} started", through, **where)
    verdict = "in doubt" if attempt.verdict == Verdict.UNKNOWN else attempt.verdict
    yield TimelineEntry(attempt.finished_at, f"{name} {verdict}", _answer(attempt), **where)


def _allowed(rule: str) -> str:
    """The rule that allowed an attempt, as a clause."""
    return "sent because its category is mandatory" if rule == Rule.MANDATORY else f"allowed by {rule}"


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
    **dict.fromkeys((Phase.CONNECT, Phase.MAIL, Phase.RCPT), "before the message was sent"),
    Phase.DATA: "while the message was sent",
    Phase.DOT: "in response to the message",
}


def batch_lines(
    taken_by: Sequence[Any], found: Explanation, made: Sequence[Attempt], noted: Sequence[TimelineEntry]
) -> Iterator[TimelineEntry]:
    """The batches it was in: claimed, taken up by a run, and the end, if no other line tells it."""
    told = {one.batch for one in (*(line for line in noted if line.what not in _OF_A_RETRY), *made)}
    for row in taken_by:
        where = {"batch": tolerant.identity(row.id), "run": tolerant.identity(row.flow_run_id)}
        claimed, ended = tolerant.moment(row.created_at), tolerant.moment(row.ended_at)
        if isinstance(claimed, datetime) and isinstance(found.accepted_at, datetime):
            # The batch of a run that brings its own requests is older than they are.
            claimed = max(claimed, found.accepted_at)
            # The batch of a run that is retried is a little older than the retry of each notification.
            claimed = max([claimed, *_retried_into(row, noted)])
        by = f"by {tolerant.text(row.owner)}"
        if row.taken_at is None:
            yield TimelineEntry(claimed, "claimed", f"in a batch of {row.size}, {by}", **where)
        else:
            yield TimelineEntry(claimed, "claimed", f"in a batch of {row.size}", **where)
            yield TimelineEntry(tolerant.moment(row.taken_at), "started by its run", by, **where)
        if row.ending == BatchResult.DIRECT:
            why = "Prefect did not respond, so no run shows it"
            yield TimelineEntry(
                ended, "sent without Prefect", f"{why}: {tolerant.text(row.summary)}", **where
            )
        elif row.ending == BatchResult.LOST and where["batch"] not in told:
            yield TimelineEntry(ended, "run lost", "nothing had been sent", **where)
        elif row.ending == BatchResult.RETURNED:
            yield TimelineEntry(ended, "returned", "unsent notifications go out with another run", **where)


def _retried_into(row: Any, noted: Sequence[TimelineEntry]) -> Iterator[datetime]:
    """When the notification was retried while the batch was made."""
    made = tolerant.moment(row.created_at)
    until = tolerant.moment(row.taken_at) or tolerant.moment(row.ended_at) or _LAST
    if isinstance(made, datetime) and isinstance(until, datetime):
        moments = (one.at for one in noted if one.what == "retried")
        yield from (at for at in moments if isinstance(at, datetime) and made <= at <= until)


def digest_line(row: Any, found: Explanation) -> Iterator[TimelineEntry]:
    if found.digest_id is not None:
        state = tolerant.text(row.digest_state) or "deleted from the ledger"
        yield TimelineEntry(
            tolerant.moment(row.digest_at), "added to a digest", f"{found.digest_id}: {state}"
        )


def hold_lines(past: Sequence[Any], found: Explanation) -> Iterator[TimelineEntry]:
    """Its type held, now or before, and released, where it waited for that. past: the rows of holds that are
    over, the first release first."""
    for row in past if found.digest_id is None else ():
        released = tolerant.moment(row.released_at)
        if not _ended_running(found, released):
            since = _waited_since(found, tolerant.moment(row.since))
            yield TimelineEntry(since, "its type was held", tolerant.text(row.reason))
            yield TimelineEntry(released, "its type was released")
    if found.held_since is not None and found.state not in TERMINAL:
        yield TimelineEntry(_waited_since(found, found.held_since), "its type was held", found.held_because)


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


def end_in_words(state: str, reason: str) -> str:
    """The reason of an end, beside its state."""
    return reason.removeprefix(state).lstrip()


def outlook(found: Explanation) -> TimelineEntry:
    """Where it is now: its end, or what it waits for."""
    if found.state in TERMINAL:
        return TimelineEntry(found.finished_at, found.state, end_in_words(found.state, found.reason))
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
            return TimelineEntry(found.finished_at, found.state, f"unknown state; {found.reason}")


def _wait(found: Explanation) -> TimelineEntry:
    """Until when it waits, or since when and for what."""
    now_due, later = ("due again", "next try") if found.state == State.DEFERRED else ("due", "due")
    held = "waits until its type is released" if found.held_since else ""
    if isinstance(found.due_at, datetime) and found.due_at <= now():
        since = f"since {found.due_at:%Y-%m-%d %H:%M:%S} UTC; {held or 'waits for a run'}"
        return TimelineEntry(None, now_due, _and_then(since, found.reason, found.forgotten))
    waits = _and_then(found.reason, held) or "waits until then"
    return TimelineEntry(found.due_at, later, _and_then(waits, found.forgotten))


def _and_then(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _in_hand(found: Explanation) -> str:
    told = str(found.lease) if found.lease else "in no open batch"
    return f"in a digest, {told}" if found.digest_id else told


def in_order(line: TimelineEntry) -> tuple[datetime, int, str, int]:
    """The sort key: by time. At the same moment: the acceptance or a retry, then batch by batch (their ids
    are in the order they were made), then lines without a batch."""
    at = line.at if isinstance(line.at, datetime) else _LAST
    if line.what in _FIRST:
        return at, 0, "", _FIRST.index(line.what)
    if line.batch is None:
        return at, 2, "", 0
    return at, 1, str(line.batch), _IN_BATCH.index(line.what) if line.what in _IN_BATCH else len(_IN_BATCH)


# What a retry notes names a batch, and does not tell its end.
_OF_A_RETRY = frozenset({"retried", State.EXPIRED})


_FIRST = ("accepted", "added to a digest", "retried")


_IN_BATCH = ("claimed", "started by its run")


_LAST = datetime.max.replace(tzinfo=UTC)
