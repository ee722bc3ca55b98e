"""The runs before: which run last tried each notification, and what it was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import attempts, batches, events
from waypost.ledger.queue.recorder import postponed
from waypost.model.outcome import Outcome, Phase, Verdict


@dataclass(frozen=True, slots=True)
class TryBefore:
    """run: the Prefect run that tried a notification; None when it was sent without Prefect. answer: the
    provider and what it said; None if no provider was tried."""

    run: UUID | None
    answer: str | None


async def tries_before(ledger: Ledger, numbers: Mapping[UUID, int]) -> dict[UUID, TryBefore]:
    """The try of that number of each notification, if the ledger has it. Two lookups by notification."""
    if not numbers:
        return {}
    ids, wanted = list(numbers), sorted(set(numbers.values()))

    def work(connection: sa.Connection) -> dict[UUID, TryBefore]:
        found = {
            row.notification_id: TryBefore(row.flow_run_id, None)
            for row in connection.execute(_postponed(ids, wanted))
            if row.what == postponed(numbers[row.notification_id])
        }
        box = sealing.of(connection)
        for row in connection.execute(_attempts(ids, wanted)):
            if row.number == numbers[row.notification_id]:
                words = box.shown(attempts, (row.id,), "words", row.words)
                found[row.notification_id] = TryBefore(row.flow_run_id, _answer(row, words))
        return found

    return await ledger.read(work)


def _attempts(ids: list[UUID], numbers: list[int]) -> sa.Select[Any]:
    return sa.select(attempts).where(in_ids(attempts.c.notification_id, ids), attempts.c.number.in_(numbers))


def _postponed(ids: list[UUID], numbers: list[int]) -> sa.Select[Any]:
    named = [postponed(number) for number in numbers]
    return (
        sa.select(events.c.notification_id, events.c.what, batches.c.flow_run_id)
        .join(batches, batches.c.id == events.c.batch_id, isouter=True)
        .where(in_ids(events.c.notification_id, ids), events.c.what.in_(named))
    )


def _answer(row: Any, words: str | None) -> str:
    verdict = Verdict(row.verdict) if row.verdict in set(Verdict) else Verdict.UNKNOWN
    said = Outcome(verdict, Phase.DOT, row.code, row.enhanced, words or "").said
    return f"{row.provider}: {said}"
