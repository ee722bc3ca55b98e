"""The slots of a worker: which runs it begins, in which order, and the runs in progress."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from waypost.model.priority import Priority
from waypost.policy.runs_per_lane import free_slots


class HasId(Protocol):
    @property
    def id(self) -> UUID: ...


R = TypeVar("R", bound=HasId)


@dataclass(frozen=True, slots=True)
class RunInProgress:
    """A run in progress here, with its lane and its start (steady seconds)."""

    task: asyncio.Task[None]
    lane: Priority
    since: float


class RunSlots(Generic[R]):
    """number: the most runs at once. begin: takes a run and runs it to its end; with True, the run was
    created for this process. on_end: called whenever a run is over and its slot free.

    woken: set when a run ends and others may begin: no slot was free, or a run found none for its lane."""

    def __init__(
        self,
        number: int,
        begin: Callable[[R, bool], Coroutine[Any, Any, None]],
        on_end: Callable[[], None],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.runs: dict[UUID, RunInProgress] = {}
        self.woken = asyncio.Event()
        self._begin = begin
        self._on_end = on_end
        self._steady = steady
        self._left_out = False  # whether a scheduled run found no slot at the last look

    def lanes(self) -> dict[UUID, Priority]:
        """The runs in progress, by id, with the lane of each."""
        return {id: run.lane for id, run in self.runs.items()}

    @property
    def full(self) -> bool:
        """Whether all slots are taken."""
        return len(self.runs) >= self.number

    def has_room(self, lane: Priority) -> bool:
        """Whether a run of that lane can begin now."""
        return free_slots(lane, Counter(self.lanes().values()), self.number) > 0

    def start_scheduled(self, scheduled: Iterable[tuple[R, Priority]]) -> list[R]:
        """Begin the runs that there is room for, the most urgent first. Returns them."""
        fresh = [(run, lane) for run, lane in scheduled if run.id not in self.runs]
        started: list[R] = []
        self._left_out = False
        for run, lane in sorted(fresh, key=lambda one: one[1].rank):
            if not self.has_room(lane):
                self._left_out = True
            else:
                self.start(run, lane)
                started.append(run)
        return started

    def start(self, run: R, lane: Priority, *, ours: bool = False) -> None:
        """Begin a run, unless it is in progress. ours: it was created for this process."""
        if run.id in self.runs:
            return
        task = asyncio.create_task(self._begin(run, ours))
        self.runs[run.id] = RunInProgress(task, lane, self._steady())
        task.add_done_callback(lambda _: self._ended(run.id))

    def _ended(self, id: UUID) -> None:
        if self.full or self._left_out:
            self.woken.set()
        self.runs.pop(id, None)
        self._on_end()
