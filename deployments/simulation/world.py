"""The world that all processes of a simulation share, and its one true time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from waypost.config.settings import Settings
from waypost.deployments.simulation.change_log import ChangeLog
from waypost.deployments.simulation.database import Database
from waypost.deployments.simulation.fake_prefect import FakePrefect
from waypost.deployments.simulation.fake_provider import Delivered
from waypost.deployments.simulation.faults import Faults
from waypost.deployments.simulation.ownership import Ownership
from waypost.deployments.simulation.process import Process
from waypost.deployments.simulation.types import TYPES
from waypost.ledger.database.tables import batches
from waypost.model.notification import Message
from waypost.rendering.live_templates import Templates

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=6)


@dataclass(frozen=True, slots=True)
class World:
    """time: seconds since the simulation began. listeners: processes to wake when requests were accepted."""

    time: Callable[[], float]
    faults: Faults
    database: Database
    server: FakePrefect
    ownership: Ownership
    settings: Settings
    templates: Templates
    retention_days: float | None = None
    mailboxes: Mapping[str, list[Delivered]] = field(default_factory=lambda: {"primary": [], "backup": []})
    listeners: list[tuple[Process, Callable[[], None]]] = field(
        default_factory=list[tuple[Process, Callable[[], None]]]
    )

    @property
    def journal(self) -> ChangeLog:
        return self.database.journal

    @property
    def idle(self) -> bool:
        """Whether no delivery is going on, and Prefect shows no open run."""
        return self.ownership.idle and not self.server.open

    @property
    def now(self) -> datetime:
        """The time without any process's error, by which lateness is judged."""
        return BEGAN + timedelta(seconds=self.time())

    def by_the_clock_of(self, process: Process | None) -> datetime:
        """The time by a process's wall clock."""
        return self.now + timedelta(seconds=process.skew if process else 0.0)

    def late(self, message: Message) -> float:
        """Seconds after its deadline; 0 when it is in time."""
        return max(0.0, (self.now - message.notification.expires_at).total_seconds())

    def jumped(self, skew: float) -> float:
        """The error of a process's clock from now on: `skew`, or now and then another."""
        faults = self.faults
        if faults.happens(faults.jumps / 400):
            return faults.random.uniform(-faults.jumps, faults.jumps)
        return skew

    def wake(self) -> None:
        """Tell every dispatcher that there may be something to do, unless the notice is lost."""
        for process, wake in self.listeners:
            if self.faults.happens(self.faults.lost_answers):
                self.faults.disturb()
            elif not process.dead:
                wake()

    def judge_reclaimed(self, batch: UUID) -> None:
        """Record an illegal change if a reaper took the batch from a living process that has it. An outage of
        the ledger is no excuse: time in which no process could write counts against no lease."""
        [row] = self.database.rows(sa.select(batches.c.taken_at).where(batches.c.id == batch))
        holder = self.ownership.holder(batch, taken=row.taken_at is not None)
        if holder is not None:
            self.journal.illegal.append(f"batch {batch} was taken from {holder.name}, which lives")


def prepare(home: Path) -> tuple[Settings, Templates]:
    """Settings and templates, read and compiled once for many simulations."""
    folder = home / "templates"
    for name in TYPES:
        (folder / name / "en").mkdir(parents=True, exist_ok=True)
        for part in ("subject.txt", "body.txt", "short.txt"):
            (folder / name / "en" / part).write_text("{{ text }}")
        (folder / name / "en" / "body.mjml").write_text("<mjml><mj-body></mj-body></mjml>")
    return Settings(home=home), Templates(folder)
