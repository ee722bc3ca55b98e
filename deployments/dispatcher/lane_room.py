"""Which lanes may start another run now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from waypost.deployments.dispatcher.backoff import Backoff
from waypost.deployments.dispatcher.in_flight import InFlightBatch, LaneKey, lane_of
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.runs import Worker
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.policy.runs_per_lane import free_slots


@dataclass(slots=True)
class LaneRoom:
    """in_flight: the batches of the dispatcher. The rest: see Dispatcher."""

    in_flight: Mapping[UUID, InFlightBatch]
    worker: Worker
    outage: PrefectOutage
    slots: int
    steady: Callable[[], float]
    seconds_apart: Callable[[NotificationType, Priority], float]
    _started: dict[LaneKey, float] = field(default_factory=dict[LaneKey, float])
    _backoffs: dict[LaneKey, Backoff] = field(default_factory=dict[LaneKey, Backoff])

    def is_free(self, type: NotificationType, priority: Priority) -> bool:
        """Whether the lane may start another run."""
        lane = type.name, priority
        of_lane = [batch for batch in self.in_flight.values() if lane_of(batch.claim) == lane]
        if len(of_lane) >= type.runs_at_once:
            return False
        if any(batch.is_quick(self.steady()) for batch in of_lane):
            return False
        if self.outage.is_down and priority is not Priority.URGENT:
            return False
        if self._is_paced(type, priority, bool(of_lane)):
            return False
        if (backoff := self._backoffs.get(lane)) and backoff.until > self.steady():
            return False
        here = self.worker.lanes()
        running = Counter(here.values())
        running.update(batch.claim.priority for batch in self.in_flight.values() if batch.run not in here)
        return free_slots(priority, running, self.slots) > 0

    def _is_paced(self, type: NotificationType, priority: Priority, has_run: bool) -> bool:
        """Whether a lane whose providers do not work had a run a moment ago: another could do no more."""
        apart = self.seconds_apart(type, priority)
        started = self._started.get((type.name, priority))
        return apart > 0 and started is not None and (has_run or self.steady() - started < apart)

    def started(self, lane: LaneKey) -> None:
        """Note that a run of the lane starts."""
        self._started[lane] = self.steady()

    def works(self, lane: LaneKey) -> None:
        """Note that a run of the lane has taken its batch up: the lane need not wait."""
        self._backoffs.pop(lane, None)

    def failed(self, lane: LaneKey) -> None:
        """Note that a run of the lane failed to start: the next waits."""
        self._backoffs.setdefault(lane, Backoff()).again(self.steady())
