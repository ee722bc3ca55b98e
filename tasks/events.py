"""The events that Waypost emits to Prefect, for its feed and for automations.

Prefect sends events from a thread of its own, so that no delivery waits for one. No event has an address.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.events import emit_event

from waypost import Batch, Report
from waypost.mail.masking import mask_in
from waypost.model.batch import Ended
from waypost.model.notification import Delivery
from waypost.model.states import State

REASONS = 10  # events of a batch: the commonest reasons; the last event counts all other reasons together
LONGEST = 300  # letters of a reason
OTHER = "other reasons"


def batch_ended(outcomes: Batch[Delivery], made: Report) -> None:
    """Emit `waypost.batch.ended` with its numbers, and `waypost.notification.failed` for each reason."""
    oldest = min((one.notification.accepted_at for one in outcomes), default=None)
    numbers = {str(state): made.states.get(state, 0) for state in _TOLD}
    _emit(
        "waypost.batch.ended",
        made.type,
        **numbers,
        total=made.total,
        oldest_accepted_at=oldest and oldest.isoformat(),
        next_try=made.next_try and made.next_try.isoformat(),
        batch=str(made.batch),
    )
    for failed in failed_by_reason((*outcomes.taken_up.ended, *outcomes)):
        _emit(
            "waypost.notification.failed",
            made.type,
            count=failed.count,
            reason=failed.reason,
            provider=failed.provider,
            example=failed.example,
            batch=str(made.batch),
        )


_TOLD = (State.SENT, State.FAILED, State.EXPIRED, State.DEFERRED, State.HELD)


@dataclass(slots=True)
class FailedForReason:
    """Notifications that failed for one reason. example: the id of one of them."""

    reason: str
    provider: str
    example: str
    count: int = 0


def failed_by_reason(outcomes: Iterable[Delivery | Ended]) -> list[FailedForReason]:
    """The notifications of a batch that failed, by reason, the commonest first. Responses with the same codes
    are one reason, whatever their words: many servers repeat the recipient in them."""
    found: dict[Any, FailedForReason] = {}
    for one in outcomes:
        if one.state is State.FAILED:
            reason = mask_in(one.reason)[:LONGEST]
            provider, example, codes = ("", one.id, None) if isinstance(one, Ended) else _of_delivery(one)
            of = found.setdefault(codes or reason, FailedForReason(reason, provider, str(example)))
            of.count += 1
    ordered = sorted(found.values(), key=lambda of: -of.count)
    shown, rest = ordered[: REASONS - 1], ordered[REASONS - 1 :]
    if len(rest) > 1:
        rest = [FailedForReason(OTHER, "", rest[0].example, sum(of.count for of in rest))]
    return shown + rest


def _of_delivery(one: Delivery) -> tuple[str, UUID, tuple[int, str | None] | None]:
    codes = (one.outcome.code, one.outcome.enhanced) if one.outcome and one.outcome.code else None
    return one.provider, one.notification.id, codes


def backlog_began(type: str, waiting: int, since: str) -> None:
    """Emit `waypost.backlog.began`: due notifications of a type wait too long. since: the first due time."""
    _emit("waypost.backlog.began", type, waiting=waiting, since=since)


def backlog_ended(type: str, since: str) -> None:
    """Emit `waypost.backlog.ended`."""
    _emit("waypost.backlog.ended", type, since=since)


def deadline_missed(type: str, count: int, reason: str) -> None:
    """Emit `waypost.deadline.missed`: deadlines passed before notifications of a type were delivered."""
    _emit("waypost.deadline.missed", type, count=count, reason=reason[:LONGEST])


def _emit(event: str, type: str, **payload: Any) -> None:
    resource = {
        "prefect.resource.id": f"waypost.type.{type}",
        "prefect.resource.name": type,
        "waypost.type": type,
    }
    emit_event(event=event, resource=resource, payload=payload)
