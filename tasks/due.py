"""Due: on a schedule, ask a type's source who is due, and take the notifications that the run is to send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE

from waypost import Batch, NotificationType, Request
from waypost.delivery.runtime import Runtime
from waypost.ledger.intake import accept
from waypost.model.batch import TakenUp
from waypost.model.notification import Notification
from waypost.sources.due import Asked, accept_all_but_the_last, count, no_source
from waypost.sources.today import today
from waypost.system.plurals import counted
from waypost.tasks.lookup import lookup
from waypost.tasks.run_context import current_flow_run, run_logger, step

SHOWN = 10  # rows that a line of the log names
TOLD = 3  # rows that the run's state names


async def due(
    type: NotificationType, requests: Sequence[Request[Any]] = (), batch: UUID | None = None
) -> Batch[Notification]:
    """The notifications of this run. With `requests` or `batch`: those, as `lookup` has them.

    With neither, as on a schedule: those whom the source of the type names today, in the default time zone.
    Each person is notified once per date. The last group of them is sent by this run, the others by other
    runs, which start at once. A row that is no request counts as not accepted, and a source that fails ends
    the run as failed, with what was read before.
    """
    if requests or batch is not None:
        return await lookup(type, requests, batch)
    answer = await step(_ask, _Question(type), task_run_name="ask the source")
    taken = await lookup(type, batch=answer.batch)
    return Batch(taken.type, taken.id, taken.items, _told(taken, answer))


class _Question:
    """Opaque to Prefect, like a Batch."""

    def __init__(self, type: NotificationType) -> None:
        self.type = type


@dataclass(frozen=True, slots=True)
class _Answer:
    """batch: of the last group, if anybody is due. asked: None without a source."""

    batch: UUID | None = None
    asked: Asked | None = None


@task(name="ask the source", cache_policy=NO_CACHE)
async def _ask(question: _Question) -> _Answer:
    runtime, type = await Runtime.current(), question.type
    settings = runtime.settings
    source = settings.sources.get(type.name)
    if source is None:
        return _Answer()
    asked = Asked(type.name, today(settings))
    last = await accept_all_but_the_last(runtime.ledger, type, source, settings.project, asked)
    batch = None
    if last:
        batch, receipts = await accept.accept_for_run(
            runtime.ledger, type, [one.request for one in last], current_flow_run()
        )
        count(asked, last, receipts)
    _log(asked)
    return _Answer(batch, asked)


def _log(asked: Asked) -> None:
    shown = asked.rejections[:SHOWN]
    told = [asked.in_words(), *(f"{one.place}: {one.reason}" for one in shown)]
    if asked.rejected > len(shown):
        told.append(f"and {counted(asked.rejected - len(shown), 'more row')}")
    level = run_logger().info if asked.good else run_logger().warning
    level("%s", "; ".join(told))


def _told(taken: Batch[Notification], answer: _Answer) -> TakenUp:
    """What the run found, with what the source said."""
    facts, asked = taken.taken_up, answer.asked
    if asked is None:
        return replace(facts, note="; ".join(filter(None, (no_source(taken.type.name), facts.note))))
    elsewhere = asked.accepted - len(taken) - len(facts.ended)
    note = "; ".join(filter(None, (*_notes(asked, elsewhere), facts.note)))
    return replace(facts, note=note, refused=facts.refused + asked.rejected, trouble=asked.trouble)


def _notes(asked: Asked, elsewhere: int) -> Iterator[str]:
    """elsewhere: how many people are notified by other runs."""
    if asked.before:
        yield f"{asked.before:,} notified before for {asked.day}"
    if elsewhere > 0:
        yield f"{elsewhere:,} go out with other runs"
    if not (asked.due or asked.rejected or asked.trouble):
        yield f"the source names nobody for {asked.day}"
    yield from (f"{one.place}: {one.reason}" for one in asked.rejections[:TOLD])
