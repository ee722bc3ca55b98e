"""The dispatcher, in every worker: what is accepted and due becomes Prefect runs.

A run starts as soon as something is due and a slot is free; what arrives until its first line runs along
with it, what arrives later is the next batch (group commit), so batches grow only under load. Urgent lanes
go first and keep a slot to themselves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from deployments.outage import Outage
from deployments.runs import PrefectAway, Progress, Refused, Runs
from waypost.clock import now
from waypost.ledger import Ledger, batches, claims
from waypost.ledger.batches import Ending, Leases
from waypost.ledger.claims import Claim, Lane
from waypost.ledger.notices import watching
from waypost.notification_type import NotificationType
from waypost.priority import Priority, room
from waypost.process import either
from waypost.suspicion import together

LOOK_SECONDS = 5.0  # how long to sleep at most: notices can be lost, and clocks differ a little
SHORTEST_SECONDS = 0.02
TOGETHER_SECONDS = 0.01  # what comes one by one, as fast as can be, is looked at together
SOONEST_SECONDS, LATEST_SECONDS = 0.5, 60.0  # waits after runs that could not be made, or ended unbegun
LASTING_SECONDS = 1.0  # a run that has been sending for so long gets another beside it
AWAY_SECONDS = 0.5  # how often a Prefect API that does not answer is asked again
URGENT_AFTER = 10.0  # seconds of outage after which what is urgent goes without Prefect
ASK_SECONDS = 5.0  # how often Prefect is asked about runs that are not in this process

LaneKey = tuple[str, Priority]
logger = logging.getLogger("waypost.dispatcher")


class Worker(Protocol):
    """What runs the runs, if this process does that too."""

    def lanes(self) -> Mapping[UUID, Priority]:
        """The flow runs in hand, by id, with the lane of each."""
        ...


@dataclass(slots=True)
class Flight:
    """A batch this dispatcher claimed. It keeps the lease until a run has taken the batch up: from then on
    that run's process does, so that its death is noticed. size: what it holds, which grows until then to
    `most`."""

    claim: Claim
    size: int
    most: int
    run: UUID | None = None
    held: bool = True
    direct: asyncio.Task[None] | None = None
    seen_here: bool = False
    asked_at: float = 0.0
    begun_at: float = 0.0
    taken_at: float = 0.0

    def is_quick(self, moment: float) -> bool:
        """What is due in its lane does better to wait for it: it takes that along, or ends in a moment."""
        if self.direct is not None or self.size >= self.most:
            return False
        return self.held or moment - self.taken_at < LASTING_SECONDS


@dataclass(slots=True)
class Setback:
    """A lane whose runs come to nothing. The first is made again at once, the next after growing waits."""

    until: float = 0.0
    wait: float = 0.0

    def again(self, moment: float) -> None:
        self.until = moment + self.wait
        self.wait = min(max(SOONEST_SECONDS, self.wait * 2), LATEST_SECONDS)


@dataclass(slots=True)
class Dispatcher:
    """slots: runs in flight at most. deliver: takes a batch's steps without Prefect. starts_within: the
    seconds a worker may take from having a run to running its code."""

    ledger: Ledger
    types: Mapping[str, NotificationType]
    runs: Runs
    worker: Worker
    leases: Leases
    outage: Outage
    deliver: Callable[[Claim], Awaitable[None]]
    slots: int
    starts_within: float
    steady: Callable[[], float] = time.monotonic
    _flights: dict[UUID, Flight] = field(default_factory=dict[UUID, Flight])
    _setbacks: dict[LaneKey, Setback] = field(default_factory=dict[LaneKey, Setback])
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Something may be due, or a run has ended: look at once."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until `stop`. What goes wrong is logged and tried again: nothing is lost by it,
        only late."""
        async with watching(self.ledger, self.wake):
            while not stop.is_set():
                self._woken.clear()
                try:
                    pause = await self.turn()
                except PrefectAway:
                    pause = AWAY_SECONDS
                except Exception as error:  # asyncpg's connect errors have no common class
                    logger.warning("could not look for what is due (%s); trying again", type(error).__name__)
                    pause = 1.0
                await either(stop, self._woken, pause)
                await asyncio.sleep(TOGETHER_SECONDS)
        await asyncio.gather(*(flight.direct for flight in self._flights.values() if flight.direct))

    async def turn(self) -> float:
        """One look: land what has ended, start what is due. Answers for how many seconds nothing more
        will be, unless somebody wakes it."""
        untaken = await self._land()
        if self.outage.on and not await self._is_back():
            if self.outage.lasts >= URGENT_AFTER:
                await self._go_directly(untaken)
            return AWAY_SECONDS
        for flight in list(self._flights.values()):
            if flight.run is None and flight.direct is None:
                await self._ask_for_run(flight)
        return await self._launch()

    async def _is_back(self) -> bool:
        try:
            await self.runs.probe()
        except PrefectAway:
            return False
        return True

    async def _land(self) -> set[UUID]:
        """Forget the batches that have ended, and those whose run can do nothing for them any more.
        Answers those that no run has taken up."""
        if not self._flights:
            return set()
        here = self.worker.lanes()
        still_open = await batches.open_among(self.ledger, list(self._flights))
        for id, flight in list(self._flights.items()):
            if id not in still_open:
                self._forget(flight)
                continue
            flight.size = still_open[id].size
            if still_open[id].taken and flight.held:
                flight.taken_at = self.steady()
                self._setbacks.pop(_lane(flight.claim), None)
                self._let_go(flight)
            if flight.direct is not None:
                if flight.direct.done():
                    self._forget(flight)
            elif flight.run in here:
                flight.seen_here = True
            elif flight.seen_here:
                await self._run_is_over(flight, taken=still_open[id].taken)
        if not self.outage.on:
            await self._ask_prefect(still_open)
        return {id for id, found in still_open.items() if not found.taken}

    async def _ask_prefect(self, still_open: Mapping[UUID, batches.Progress]) -> None:
        """Runs that other processes have, or nobody yet: has Prefect ended them, or lost them?"""
        moment = self.steady()
        elsewhere = {
            flight.run: flight
            for flight in self._flights.values()
            if flight.run and not flight.seen_here and not flight.direct
            and moment - flight.asked_at > ASK_SECONDS
        }  # fmt: skip
        if not elsewhere:
            return
        progress = await self.runs.progress(list(elsewhere))
        for run, flight in elsewhere.items():
            flight.asked_at = moment
            found = progress.get(run, Progress.ENDED)
            if found is Progress.WAITING:
                flight.begun_at = moment
            elif found is Progress.ENDED or self._is_overdue(flight, found):
                known = still_open.get(flight.claim.id)
                await self._run_is_over(flight, taken=known is None or known.taken)

    def _is_overdue(self, flight: Flight, progress: Progress) -> bool:
        """A run that a worker has taken, and that has not taken up its batch in all that time: the worker
        died in between. What is taken up has a lease to tell that by."""
        allowed = self.starts_within if progress is Progress.STARTING else self.ledger.lease.total_seconds()
        return flight.held and self.steady() - flight.begun_at > allowed

    async def _run_is_over(self, flight: Flight, *, taken: bool) -> None:
        """The run has ended and its batch has not. Never taken up: its work is free. Taken up: something
        may be on the wire, so that the lease must lapse first."""
        if not taken:
            self._set_back(flight.claim)
            await batches.end(self.ledger, flight.claim.id, Ending.LOST)
        self._forget(flight)

    def _set_back(self, claim: Claim) -> None:
        self._setbacks.setdefault(_lane(claim), Setback()).again(self.steady())

    def _forget(self, flight: Flight) -> None:
        self._flights.pop(flight.claim.id, None)
        self._let_go(flight)

    def _let_go(self, flight: Flight) -> None:
        if flight.held:
            flight.held = False
            self.leases.let_go(flight.claim.id)

    async def _go_directly(self, untaken: Collection[UUID]) -> None:
        """What is urgent does not wait for Prefect any longer."""
        for lane in await claims.lanes(self.ledger, self.types):
            if lane.priority is Priority.URGENT and lane.due_at <= now() and self._has_room(lane):
                claim = await self._reserve(lane)
                if claim is not None:
                    self._claimed(claim).direct = asyncio.create_task(self._deliver(claim))
        for flight in self._flights.values():
            waits = flight.run is None or flight.claim.id in untaken
            if waits and flight.direct is None and flight.claim.priority is Priority.URGENT:
                flight.direct = asyncio.create_task(self._deliver(flight.claim))

    async def _reserve(self, lane: Lane) -> Claim | None:
        most = self.types[lane.type].batch_size
        return await claims.reserve(self.ledger, lane.type, lane.priority, most)

    def _claimed(self, claim: Claim) -> Flight:
        most = together(claim.suspicion, self.types[claim.type].batch_size)
        flight = self._flights[claim.id] = Flight(claim, claim.size, most)
        self.leases.hold(claim.id)
        return flight

    async def _deliver(self, claim: Claim) -> None:
        logger.warning("sending %d %s without Prefect", claim.size, claim.type)
        try:
            await self.deliver(claim)
        except Exception:
            logger.exception("batch %s could not be sent without Prefect; it comes back", claim.id)
        finally:
            self.wake()

    async def _ask_for_run(self, flight: Flight) -> None:
        try:
            flight.run = await self.runs.start(flight.claim)
        except Refused as error:
            await self._do_without(flight, error)
            return
        flight.asked_at = flight.begun_at = self.steady()
        await batches.given_run(self.ledger, flight.claim.id, flight.run)

    async def _do_without(self, flight: Flight, error: Refused) -> None:
        """Prefect answers, and will not have a run of this type: no other type waits for that. What is
        urgent goes directly, the rest waits for somebody to mend it."""
        logger.error("Prefect takes no run of %s: %s", flight.claim.type, error)
        if flight.claim.priority is Priority.URGENT:
            flight.direct = asyncio.create_task(self._deliver(flight.claim))
        else:
            await self._run_is_over(flight, taken=False)

    async def _launch(self) -> float:
        """Claim and start what is due, a batch a lane in turn, as far as there is room. Answers in how
        many seconds something more is due."""
        while True:
            lanes = await claims.lanes(self.ledger, self.types)
            waiting = [lane for lane in lanes if self._has_room(lane)]
            started = [await self._start(lane) for lane in waiting if lane.due_at <= now()]
            if not any(started):
                soonest = min((lane.due_at for lane in waiting), default=None)
                pause = LOOK_SECONDS if soonest is None else (soonest - now()).total_seconds()
                longest = LOOK_SECONDS if len(waiting) == len(lanes) else LASTING_SECONDS
                return min(max(pause, SHORTEST_SECONDS), longest)

    async def _start(self, lane: Lane) -> bool:
        """False when somebody else was quicker, or an earlier lane took the room."""
        if not self._has_room(lane):
            return False
        claim = await self._reserve(lane)
        if claim is None:
            return False
        await self._ask_for_run(self._claimed(claim))
        return True

    def _has_room(self, lane: Lane) -> bool:
        of_lane = [
            flight for flight in self._flights.values() if _lane(flight.claim) == (lane.type, lane.priority)
        ]
        if len(of_lane) >= self.types[lane.type].runs_at_once:
            return False
        if any(flight.is_quick(self.steady()) for flight in of_lane):
            return False
        if self.outage.on and lane.priority is not Priority.URGENT:
            return False
        if (setback := self._setbacks.get((lane.type, lane.priority))) and setback.until > self.steady():
            return False
        here = self.worker.lanes()
        running = Counter(here.values())
        running.update(flight.claim.priority for flight in self._flights.values() if flight.run not in here)
        return room(lane.priority, running, self.slots) > 0


def _lane(claim: Claim) -> LaneKey:
    return claim.type, claim.priority
