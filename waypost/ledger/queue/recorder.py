"""Recording attempts and outcomes, many connections in one transaction.

An attempt's row is written before its message is sent, and its outcome before the connection takes the next
message. Each caller waits for its own change.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing
from waypost.ledger.database.bulk import in_ids, insert_many, update_many
from waypost.ledger.database.group_commit import GroupCommit
from waypost.ledger.database.ledger import Ledger, NotRecorded
from waypost.ledger.database.tables import IN_HAND, attempts, in_hand_of, notifications
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.ledger.queue.late_answers import settle_doubts
from waypost.ledger.queue.timeline_events import note_events
from waypost.ledger.records import soft_bounces
from waypost.ledger.records.suppressions import add_suppressions
from waypost.model.outcome import Outcome, Verdict
from waypost.model.states import TERMINAL, State
from waypost.system.isolation import ItemFailed, isolated
from waypost.system.outage import is_outage

Change = AttemptStarted | AttemptFinished


class Recorder:
    """Group commit for attempts and outcomes; `close` waits for what is queued."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._commits: GroupCommit[tuple[Change, ...], int] = GroupCommit(
            self._store, alone=lambda error: not isinstance(error, NotRecorded), told=_failure
        )

    def begin(self, begin: AttemptStarted, after: AttemptFinished | None = None) -> asyncio.Future[int]:
        """Write the attempt's row. The future returns the attempt's number, from 1; 0 when this run may no
        longer send the notification (it was cancelled, or taken by another run).

        after: the outcome of the same connection's last message, written in the same transaction.

        The future raises NotRecorded, and ItemFailed for an attempt that the ledger can never store.
        """
        return self._commits.add((begin,) if after is None else (after, begin))

    def finish(self, finish: AttemptFinished) -> asyncio.Future[int]:
        """Write an outcome. The future returns 0 when this run no longer had the notification."""
        return self._commits.add((finish,))

    async def finish_all(self, finishes: Sequence[AttemptFinished]) -> None:
        """Write many outcomes at once, for notifications that were decided without sending."""
        await asyncio.gather(*map(self.finish, finishes))

    async def close(self) -> None:
        """Wait for what is queued."""
        await self._commits.close()

    async def _store(self, queued: Sequence[tuple[Change, ...]]) -> list[int]:
        """Write the queued changes, however long it takes: no connection may send another message before."""
        try:
            return await self._write(queued)
        except Exception as error:
            if len(queued) > 1 or is_outage(error):
                raise
        return [await self._write_singly(queued[0])]

    async def _write_singly(self, changes: tuple[Change, ...]) -> int:
        """Write one change per transaction, after the ledger refused them together. An outcome that cannot be
        stored is written without the provider's words, so that the ledger knows what was sent. Raises
        ItemFailed for an attempt that cannot be written."""
        answer = 0
        for change in changes:
            try:
                answer = await self._write_one(change)
            except ItemFailed as failed:
                if isinstance(change, AttemptStarted):
                    raise
                with suppress(ItemFailed):  # the notification stays in its batch, whose lease lapses
                    answer = await self._write_one(_without_words(change, failed))
        return answer

    async def _write_one(self, change: Change) -> int:
        with isolated("recording", item=change.notification_id, outage=is_outage):
            return (await self._write([(change,)]))[0]

    async def _write(self, queued: Sequence[tuple[Change, ...]]) -> list[int]:
        changes = [change for some in queued for change in some]
        tried = False

        def work(connection: sa.Connection) -> dict[UUID, int]:
            nonlocal tried
            again, tried = tried, True
            return _write(connection, changes, again)

        written = await self._ledger.write_until_durable(work)
        return [written.get(_key(some[-1]), 0) for some in queued]


def _write(connection: sa.Connection, changes: Sequence[Change], again: bool) -> dict[UUID, int]:
    """again: an earlier try may have been committed, with its response lost."""
    finished = _write_finishes(
        connection, [change for change in changes if isinstance(change, AttemptFinished)]
    )
    begun = _write_begins(
        connection, [change for change in changes if isinstance(change, AttemptStarted)], again
    )
    return dict.fromkeys(finished, 1) | begun


def _failure(error: BaseException) -> BaseException:
    if isinstance(error, (NotRecorded, ItemFailed)):
        return error
    return NotRecorded(f"the ledger could not be written: {type(error).__name__}")


def _without_words(finish: AttemptFinished, failed: ItemFailed) -> AttemptFinished:
    outcome = finish.outcome and replace(finish.outcome, words="")
    return replace(finish, decision=replace(finish.decision, reason=str(failed)), outcome=outcome)


def _key(change: Change) -> UUID:
    return change.id if isinstance(change, AttemptStarted) else change.notification_id


def _write_begins(
    connection: sa.Connection, begins: Sequence[AttemptStarted], again: bool
) -> dict[UUID, int]:
    """Returns each attempt's number, by its id. An attempt that may not be made is missing, or has 0."""
    if not begins:
        return {}
    known = _begun_before(connection, begins) if again else {}
    alike: defaultdict[tuple[UUID, int], list[AttemptStarted]] = defaultdict(list)
    for begin in begins:
        if begin.id not in known:
            alike[begin.batch, begin.step].append(begin)
    numbers: dict[UUID, int] = {}
    for (batch, step), members in sorted(alike.items()):
        ids = [begin.notification_id for begin in members]
        begun = connection.execute(_SENDING, {"ids": ids, "batch": batch, "_step": step})
        numbers |= {row.id: row.tries for row in begun}
    started = {
        b.id: numbers[b.notification_id] for b in begins if b.id not in known and b.notification_id in numbers
    }
    if started:
        rows = [_attempt(begin, started[begin.id]) for begin in begins if begin.id in started]
        insert_many(connection, attempts, rows)
    return known | started


# Statements are built once: that takes longer than running one over a few rows.
_OURS = in_ids(notifications.c.id, "ids"), in_hand_of("batch")
_SENDING = (
    sa.update(notifications)
    .where(*_OURS)
    .values(state=State.SENDING, step=sa.bindparam("_step"), tries=notifications.c.tries + 1, suspicion=0)
    .returning(notifications.c.id, notifications.c.tries)
)


def _begun_before(connection: sa.Connection, begins: Sequence[AttemptStarted]) -> dict[UUID, int]:
    """The numbers of attempts that an earlier try wrote; 0 where the batch was taken back meanwhile."""
    still_made = sa.and_(
        attempts.c.finished_at.is_(None), notifications.c.batch_id == attempts.c.batch_id, IN_HAND
    )
    found = connection.execute(
        sa.select(attempts.c.id, sa.case((still_made, attempts.c.number), else_=0).label("number"))
        .join(notifications, notifications.c.id == attempts.c.notification_id)
        .where(in_ids(attempts.c.id, [begin.id for begin in begins]))
    )
    return {row.id: row.number for row in found}


def _attempt(begin: AttemptStarted, number: int) -> dict[str, Any]:
    return {
        "id": begin.id,
        "notification_id": begin.notification_id,
        "batch_id": begin.batch,
        "number": number,
        "channel": begin.channel,
        "provider": begin.provider,
        "flow_run_id": begin.flow_run_id,
        "started_at": begin.started_at,
        "template_version": begin.template_version,
        "rule": begin.rule,
    }


def _write_finishes(connection: sa.Connection, finishes: list[AttemptFinished]) -> set[UUID]:
    answers = {
        finish.attempt: _answer(finish.attempt, finish.outcome, finish.finished_at)
        for finish in finishes
        if finish.attempt and finish.outcome
    }
    box = sealing.of(connection)
    answers = {attempt: box.sealed(attempts, answer) for attempt, answer in answers.items()}
    _note_bounces(connection, finishes)
    settled: set[UUID] = set()
    if update_many(connection, attempts, list(answers.values()), _UNANSWERED) < len(answers):
        settled = settle_doubts(connection, finishes, answers)
        finishes = [finish for finish in finishes if finish.notification_id not in settled]
    # A refusal with another step left changes only the attempt: the notification goes on.
    moving = [finish for finish in finishes if finish.decision.state is not State.SENDING]
    written = settled | {finish.notification_id for finish in finishes}
    written -= {finish.notification_id for finish in moving}
    by_state: defaultdict[State, list[AttemptFinished]] = defaultdict(list)
    for finish in moving:
        by_state[finish.decision.state].append(finish)
    for state, members in by_state.items():
        written |= _move(connection, state, members)
    return written


def _note_bounces(connection: sa.Connection, finishes: Sequence[AttemptFinished]) -> None:
    """Keep what outcomes say of addresses. Nothing is read or written for mails that are simply taken."""
    add_suppressions(connection, [finish.suppress for finish in finishes if finish.suppress])
    ended = [(one.soft_bounce, one.notification_id) for one in finishes if one.soft_bounce]
    soft_bounces.note(connection, ended)
    soft_bounces.forget(connection, {one.recovered for one in finishes if one.recovered})


_UNANSWERED = attempts.c.finished_at.is_(None)


def _move(connection: sa.Connection, state: State, members: list[AttemptFinished]) -> set[UUID]:
    """One UPDATE for all with the same end; deferrals and failures differ in reason and time."""
    alike: defaultdict[tuple[UUID, str, datetime | None, int, bool, bool, bool], list[AttemptFinished]]
    alike = defaultdict(list)
    for finish in members:
        decision = finish.decision
        kind = (_doubtful(finish), _put_off(finish), finish.digest)
        alike[finish.batch, decision.reason, decision.due, finish.step, *kind].append(finish)
    written: set[UUID] = set()
    for (batch, reason, due, step, doubtful, put_off, digest), group in alike.items():
        ids = [finish.notification_id for finish in group]
        # The latest: no notification ends before the attempt that sent it began.
        finished = max(finish.finished_at for finish in group) if state in TERMINAL else None
        shared = {"state": state, "reason": reason, "finished_at": finished}
        values = {**shared, "step": step, **({"due_at": due} if due else {})}
        update = _update(tuple(values), doubtful, put_off)
        changes = {"ids": ids, "batch": batch, **{f"_{name}": value for name, value in values.items()}}
        moved = ids
        found = connection.execute(update, changes)
        changed = _note_waits(connection, found.all(), reason, batch) if put_off else found.rowcount
        if changed != len(ids):
            moved = _now_in(connection, state, batch, ids)
        written.update(moved)
        if digest and state in TERMINAL:
            copy_end_to_items(connection, moved, shared)
    return written


@lru_cache(16)
def _update(names: tuple[str, ...], doubtful: bool, put_off: bool) -> Any:
    """Changes the columns `names` of notifications. put_off: each change counts as a try, so that the next
    wait is longer; the ids and their tries are returned."""
    values: dict[str, Any] = {name: sa.bindparam(f"_{name}") for name in names}
    if doubtful:
        values["in_doubt"] = notifications.c.in_doubt + 1
    if put_off:
        values["tries"] = notifications.c.tries + 1
    update = sa.update(notifications).where(*_OURS).values(**values, suspicion=0)
    return update.returning(notifications.c.id, notifications.c.tries) if put_off else update


def _now_in(connection: sa.Connection, state: State, batch: UUID, ids: Sequence[UUID]) -> Sequence[UUID]:
    """The ids that did move: the others had been cancelled or taken from this run before."""
    moved = sa.select(notifications.c.id).where(
        in_ids(notifications.c.id, ids), notifications.c.batch_id == batch, notifications.c.state == state
    )
    return connection.scalars(moved).all()


def _doubtful(finish: AttemptFinished) -> bool:
    return finish.outcome is not None and finish.outcome.verdict is Verdict.UNKNOWN


def _put_off(finish: AttemptFinished) -> bool:
    """Whether the notification is deferred without an attempt."""
    return finish.attempt is None and finish.decision.state is State.DEFERRED


def _note_waits(connection: sa.Connection, deferred: Sequence[Any], reason: str, batch: UUID) -> int:
    """Note on their timelines that notifications were deferred without an attempt. Returns how many."""
    by_tries: defaultdict[int, list[UUID]] = defaultdict(list)
    for id, tries in deferred:
        by_tries[tries].append(id)
    for tries, ids in by_tries.items():
        note_events(connection, ids, postponed(tries), reason, batch)
    return len(deferred)


def postponed(number: int) -> str:
    """The name of the event that a notification was deferred without an attempt, which counts as a try."""
    return f"attempt {number} postponed"


def _answer(attempt: UUID, outcome: Outcome, finished_at: datetime) -> dict[str, Any]:
    return {
        "id": attempt,
        "verdict": outcome.verdict,
        "phase": outcome.phase,
        "code": outcome.code,
        "enhanced": outcome.enhanced,
        "words": outcome.words,
        "finished_at": finished_at,
    }
