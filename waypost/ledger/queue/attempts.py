"""An attempt as it begins and as it ends, before it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from waypost.model.outcome import Outcome
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.ids import new_id


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt about to be made. step: of its notification's route; should its run be lost, the
    notification goes on from there and over no other provider."""

    notification_id: UUID
    batch: UUID
    channel: str
    provider: str
    flow_run_id: UUID | None
    step: int = 0
    id: UUID = field(default_factory=new_id)
    started_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """The state a notification moves to, and the outcome of the attempt that moved it, if any.

    digest: whether it may have items, which share its end.
    """

    notification_id: UUID
    batch: UUID
    decision: Decision
    step: int = 0
    attempt: UUID | None = None
    outcome: Outcome | None = None
    digest: bool = True
    finished_at: datetime = field(default_factory=now)
