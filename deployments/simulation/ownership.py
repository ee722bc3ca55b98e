"""Which process really has which batch, whatever the ledger and its leases say."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from uuid import UUID

from waypost.deployments.simulation.faults import Spell
from waypost.deployments.simulation.process import Process
from waypost.model.batch import Batch
from waypost.model.notification import Notification
from waypost.model.priority import Priority


class Ownership:
    """first: when a run first had each notification. urgent: when runs had urgent notifications."""

    def __init__(self, time: Callable[[], float]) -> None:
        self.first: dict[UUID, float] = {}
        self.urgent: list[Spell] = []
        self._time = time
        self._asked: dict[UUID, Process] = {}
        self._taken: dict[UUID, Process] = {}
        self._at_work = 0

    def asked(self, batch: UUID, process: Process) -> None:
        """A dispatcher has claimed the batch, and keeps it until a run takes it up."""
        self._asked[batch] = process

    @property
    def idle(self) -> bool:
        """Whether no delivery is going on."""
        return self._at_work == 0

    @contextmanager
    def at_work(self) -> Generator[None]:
        """A delivery goes on until the end of the block."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    @contextmanager
    def taken(self, notifications: Batch[Notification], process: Process) -> Generator[None]:
        """The process has the batch until the end of the block."""
        began = self._time()
        for one in notifications:
            self.first.setdefault(one.id, began)
        if len(notifications):
            self._taken[notifications.id] = process
        try:
            yield
        finally:
            if self._taken.get(notifications.id) is process:
                del self._taken[notifications.id]
            if any(one.priority is Priority.URGENT for one in notifications):
                self.urgent.append((began, self._time()))

    def holder(self, batch: UUID, *, taken: bool) -> Process | None:
        """The living process that has the batch, if any. taken: a run has taken it up, so that its
        dispatcher no longer keeps it."""
        found = (self._taken if taken else self._asked).get(batch)
        return None if found is None or found.dead else found
