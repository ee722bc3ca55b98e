"""The start and the end of an attempt, before they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from waypost.model.outcome import Outcome
from waypost.model.suppression import Suppression
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.ids import new_id


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt about to be made. step: the step of the notification's route; if the run is lost, the
    notification resumes there, with no other provider. template_version: of the templates that rendered its
    message; None without templates. rule: what allowed it; None where nothing was asked."""

    notification_id: UUID
    batch: UUID
    channel: str
    provider: str
    flow_run_id: UUID | None
    step: int = 0
    template_version: str | None = None
    rule: str | None = None
    id: UUID = field(default_factory=new_id)
    started_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """The state a notification moves to, and the outcome of the attempt that moved it, if any.

    digest: whether the notification may have items, which share its end. suppress: the address that this
    outcome says is dead. soft_bounce: the address that did not take the notification until it ended.
    recovered: an address with soft bounces that took it.
    """

    notification_id: UUID
    batch: UUID
    decision: Decision
    step: int = 0
    attempt: UUID | None = None
    outcome: Outcome | None = None
    digest: bool = True
    suppress: Suppression | None = None
    soft_bounce: str = ""
    recovered: str = ""
    finished_at: datetime = field(default_factory=now)
