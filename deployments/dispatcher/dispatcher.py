"""The dispatcher, which every worker runs: it starts Prefect runs for accepted notifications that are due.

A run starts as soon as a notification is due and a slot is free. Notifications that arrive before its first
line runs join its batch, later ones form the next batch (group commit): batches grow only under load. Urgent
lanes go first and have a slot reserved.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from waypost.deployments.dispatcher.in_flight import (
    LASTING_SECONDS,
    InFlightBatch,
    LaneKey,
    lane_of,
)
from waypost.deployments.dispatcher.lane_room import LaneRoom
from waypost.deployments.dispatcher.outage import PrefectOutage
from waypost.deployments.dispatcher.runs import PrefectAway, Progress, Refused, Runs, Worker
from waypost.deployments.stopping import see_off
from waypost.ledger import Ledger, NotRecorded
from waypost.ledger.database.failures import log_failure
from waypost.ledger.database.watch_for_work import watching
from waypost.ledger.queue import batches, claims
from waypost.ledger.queue.batches import BatchResult
from waypost.ledger.queue.cancelled_runs import hold_unsent
from waypost.ledger.queue.claims import Claim
from waypost.ledger.queue.leases import Leases
from waypost.ledger.queue.return_claims import return_batches
from waypost.ledger.queue.waiting_lanes import Lane, waiting_lanes
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.policy.poison_item import together
from waypost.system.clock import now
from waypost.system.waiting import wait_for_first

LOOK_SECONDS = 5.0  # the longest sleep: notices can be lost, and clocks differ a little
SHORTEST_SECONDS = 0.02
TOGETHER_SECONDS = 0.01  # the pause after a wake-up, so that one turn handles notices in quick succession
AWAY_SECONDS = 0.5  # the pause before a Prefect API that does not answer is asked again
# Seconds an urgent notification waits for Prefect, then it is sent without: it is out within ten seconds.
URGENT_AFTER = 7.0
BEGINS_SECONDS = 1.0  # how often it is checked whether the run of an urgent batch begins here
URGENT_LOOK_SECONDS = 0.5  # how often urgent batches are checked while a turn waits for Prefect
# Seconds of outage after which batches that are not urgent are left to workers that reach Prefect.
GIVEN_BACK_AFTER = 5.0
ASK_SECONDS = 5.0  # how often Prefect is asked about runs that are not in this process

logger = logging.getLogger("waypost.dispatcher")


@dataclass(slots=True)
class Dispatcher:
    """slots: the most runs in flight. deliver: takes a batch's steps without Prefect. is_stopped:
    whether a person had stopped a lane in Prefect when Prefect last answered. starts_within: the
    seconds a worker may take from getting a run to running its code. seconds_apart: the least time
    between two runs of a lane, 0 while its providers work. holds_cancelled: whether a person must release
    what a cancelled run has not sent."""

    ledger: Ledger
    types: Mapping[str, NotificationType]
    runs: Runs
    worker: Worker
    leases: Leases
    outage: PrefectOutage
    deliver: Callable[[Claim], Awaitable[None]]
    is_stopped: Callable[[Priority], bool]
    slots: int
    starts_within: float
    steady: Callable[[], float] = time.monotonic
    seconds_apart: Callable[[NotificationType, Priority], float] = lambda _type, _lane: 0.0
    holds_cancelled: bool = True
    _in_flight: dict[UUID, InFlightBatch] = field(default_factory=dict[UUID, InFlightBatch])
    _since: dict[LaneKey, float] = field(default_factory=dict[LaneKey, float])
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _room: LaneRoom = field(init=False)

    def __post_init__(self) -> None:
        self._room = LaneRoom(
            self._in_flight, self.worker, self.outage, self.slots, self.steady, self.seconds_apart
        )

    def wake(self) -> None:
        """Take a turn at once: a notification may be due, or a run has ended."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Dispatch until `stop`. Errors are logged and the turn is retried: nothing is lost, only late."""
        async with watching(self.ledger, self.wake):
            while not stop.is_set():
                self._woken.clear()
                pause = await self._look()
                await wait_for_first(stop, self._woken, pause)
                await asyncio.sleep(TOGETHER_SECONDS)
        await self._leave()

    async def _look(self) -> float:
        """Take a turn, and meanwhile send urgent batches without Prefect if it is slow. Returns the seconds
        until the next turn."""
        turn = asyncio.create_task(self.tick())
        try:
            while not (await asyncio.wait([turn], timeout=URGENT_LOOK_SECONDS))[0]:
                with suppress(Exception):  # the turn meets the same error, which is logged below
                    await self._send_urgent_without_prefect()
            return turn.result()
        except PrefectAway:
            return AWAY_SECONDS
        except Exception as error:  # asyncpg's connect errors have no common class
            log_failure(logger, "due notifications could not be read; retrying", error)
            return 1.0
        finally:
            turn.cancel()

    async def _leave(self) -> None:
        """End direct deliveries as a worker ends its runs. Return the batches that no run will take up."""
        await see_off([one.direct for one in self._in_flight.values() if one.direct])
        here = self.worker.lanes()
        left = [
            id
            for id, one in self._in_flight.items()
            if one.held and (one.run is None or one.seen_here or one.run in here)
        ]
        with suppress(NotRecorded):
            await return_batches(self.ledger, left, untaken=True)

    async def tick(self) -> float:
        """Take one turn: forget the batches that have ended, start those that are due. Returns the seconds
        until the next turn, unless it is woken earlier."""
        untaken = await self._collect_ended()
        if self.outage.is_down and not await self._is_back():
            if self.outage.duration >= GIVEN_BACK_AFTER:
                await self._give_back(untaken)
            await self._send_urgent_without_prefect()
            return AWAY_SECONDS
        await self._ask_for_runs([one for one in self._in_flight.values() if one.run is None])
        pause = await self._start_due()
        patience = min((self._patience(one) for one in self._urgent()), default=pause)
        if patience <= 0:
            await self._send_urgent_without_prefect()
        return min(pause, max(patience, SHORTEST_SECONDS))

    def _patience(self, batch: InFlightBatch) -> float:
        """Seconds until an urgent batch is looked at again: soon while its run may begin here."""
        left = URGENT_AFTER - self._waits(batch)
        return min(left, BEGINS_SECONDS) if batch.run and batch.here_since is None else left

    async def _is_back(self) -> bool:
        try:
            await self.runs.probe()
        except PrefectAway:
            return False
        return True

    async def _collect_ended(self) -> set[UUID]:
        """Forget the batches that have ended, and those whose run is over. Returns the open batches that no
        run has taken up."""
        if not self._in_flight:
            return set()
        here = self.worker.lanes()
        still_open = await batches.open_among(self.ledger, list(self._in_flight))
        for id, batch in list(self._in_flight.items()):
            if id not in still_open:
                self._forget(batch)
                continue
            batch.size = still_open[id].size
            if still_open[id].taken and batch.held:
                batch.taken_at = self.steady()
                self._room.works(lane_of(batch.claim))
                self._let_go(batch)
            if batch.direct is not None:
                if batch.direct.done():
                    self._forget(batch)
            elif batch.run in here:
                batch.seen_here = True
            elif batch.seen_here:
                await self._run_is_over(batch, taken=still_open[id].taken)
        if not self.outage.is_down:
            await self._ask_prefect(still_open)
        return {id for id, found in still_open.items() if not found.taken}

    async def _ask_prefect(self, still_open: Mapping[UUID, batches.Progress]) -> None:
        """Ask Prefect about runs outside this process, and handle those that are over, lost or overdue."""
        moment = self.steady()
        elsewhere = {
            batch.run: batch
            for batch in self._in_flight.values()
            if batch.run and not batch.seen_here and not batch.direct
            and moment - batch.asked_at > ASK_SECONDS
        }  # fmt: skip
        if not elsewhere:
            return
        try:
            progress = await self.runs.progress(list(elsewhere))
        except Refused as error:
            logger.warning("Prefect does not tell how far its runs have come: %s", error)
            for batch in elsewhere.values():
                batch.asked_at = moment
            return
        for run, batch in elsewhere.items():
            batch.asked_at = moment
            if batch.direct is not None:
                continue
            found = progress.get(run, Progress.ENDED)
            if found is Progress.WAITING:
                batch.begun_at = moment
            elif found.is_over or self._is_overdue(batch, found):
                known = still_open.get(batch.claim.id)
                taken = known is None or known.taken
                if found is Progress.CANCELLED and not taken and self.holds_cancelled:
                    await hold_unsent(self.ledger, batch.claim.id)
                await self._run_is_over(batch, taken=taken)

    def _is_overdue(self, batch: InFlightBatch, progress: Progress) -> bool:
        """Whether a worker took the run and has not taken up its batch in the time allowed: the worker died
        in between. Once the batch is taken up, its lease shows that."""
        allowed = self.starts_within if progress is Progress.STARTING else self.ledger.lease.total_seconds()
        return batch.held and self.steady() - batch.begun_at > allowed

    async def _run_is_over(self, batch: InFlightBatch, *, taken: bool) -> None:
        """Handle a run that ended before its batch. If no run took the batch up, its work is free. Otherwise
        a message may be on the wire, so the lease must lapse first."""
        if not taken:
            self._room.failed(lane_of(batch.claim))
            await batches.end(self.ledger, batch.claim.id, BatchResult.LOST)
        self._forget(batch)

    def _forget(self, batch: InFlightBatch) -> None:
        self._in_flight.pop(batch.claim.id, None)
        self._let_go(batch)

    def _let_go(self, batch: InFlightBatch) -> None:
        if batch.held:
            batch.held = False
            self.leases.let_go(batch.claim.id)

    async def _give_back(self, untaken: Collection[UUID]) -> None:
        """Return the batches not urgent and not taken up, for other workers that may reach Prefect."""
        left = [
            one
            for one in self._in_flight.values()
            if one.claim.id in untaken and one.direct is None and one.claim.priority is not Priority.URGENT
        ]
        await return_batches(self.ledger, [one.claim.id for one in left], untaken=True)
        for batch in left:
            self._forget(batch)

    async def _send_urgent_without_prefect(self) -> None:
        """Send urgent batches without Prefect once they have waited for it for URGENT_AFTER seconds."""
        lanes = await self._lanes()
        for lane in lanes:
            since = self._since.get((lane.type, lane.priority))
            if since is not None and self._waited(since) >= URGENT_AFTER and self._has_room(lane):
                claim = await self._reserve(lane)
                if claim is not None:
                    self._send_directly(self._claimed(claim))
        late = [one for one in self._urgent() if self._waits(one) >= URGENT_AFTER]
        still_open = await batches.open_among(self.ledger, [one.claim.id for one in late])
        for batch in late:
            found = still_open.get(batch.claim.id)
            if found is not None and not found.taken:
                self._send_directly(batch)

    def _urgent(self) -> list[InFlightBatch]:
        """The urgent batches that, as far as is known, no run has taken up; none in a stopped lane."""
        return [
            one
            for one in self._in_flight.values()
            if one.claim.priority is Priority.URGENT
            and one.held and one.direct is None and not self.is_stopped(Priority.URGENT)
        ]  # fmt: skip

    def _waits(self, batch: InFlightBatch) -> float:
        """Seconds that a batch has waited for Prefect: for its run to be created, and to begin here. A run
        that no worker takes waits for a worker, a slot or a person: then only the outage counts."""
        if batch.run is None:
            return self._waited(batch.since)
        if batch.here_since is None:
            if batch.run not in self.worker.lanes():
                return self.outage.duration
            batch.here_since = self.steady()
        return self._waited(batch.here_since - batch.creating)

    def _waited(self, since: float) -> float:
        return max(self.outage.duration, self.steady() - since)

    async def _lanes(self) -> list[Lane]:
        """The lanes with waiting notifications. Records since when urgent lanes wait for Prefect alone."""
        lanes = await waiting_lanes(self.ledger, self.types)
        waiting = (
            (lane.type, lane.priority)
            for lane in lanes
            if lane.priority is Priority.URGENT and lane.due_at <= now() and self._has_room(lane)
            and not self.is_stopped(lane.priority)
        )  # fmt: skip
        self._since = {key: self._since.get(key, self.steady()) for key in waiting}
        return lanes

    def _send_directly(self, batch: InFlightBatch) -> None:
        if batch.direct is None:
            batch.direct = asyncio.create_task(self._deliver(batch.claim))

    async def _reserve(self, lane: Lane) -> Claim | None:
        most = self.types[lane.type].batch_size
        return await claims.reserve(self.ledger, lane.type, lane.priority, most)

    def _claimed(self, claim: Claim) -> InFlightBatch:
        most = together(claim.suspicion, self.types[claim.type].batch_size)
        since = self._since.pop(lane_of(claim), self.steady())
        batch = self._in_flight[claim.id] = InFlightBatch(claim, claim.size, most, since)
        self._room.started(lane_of(claim))
        self.leases.hold(claim.id)
        return batch

    async def _deliver(self, claim: Claim) -> None:
        logger.warning("sending %d %s without Prefect", claim.size, claim.type)
        try:
            await self.deliver(claim)
        except Exception:
            logger.exception("batch %s could not be sent without Prefect; it will be retried", claim.id)
        finally:
            self.wake()

    async def _ask_for_runs(self, flights: Sequence[InFlightBatch]) -> None:
        """Ask for all runs at once: a slow API then takes as long for many as for one."""
        asked = [self._ask_for_run(one) for one in flights if one.direct is None]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    async def _ask_for_run(self, batch: InFlightBatch) -> None:
        try:
            batch.run = await self.runs.start(batch.claim)
        except Refused as error:
            await self._handle_refusal(batch, error)
            return
        batch.asked_at = batch.begun_at = self.steady()
        batch.creating = batch.begun_at - batch.since
        await batches.given_run(self.ledger, batch.claim.id, batch.run)

    async def _handle_refusal(self, batch: InFlightBatch, error: Refused) -> None:
        """Handle Prefect's refusal of a run of this type, without delay for other types. Urgent batches are
        sent directly; others are retried after growing waits, until the cause is fixed."""
        logger.error("Prefect refused a run of %s: %s", batch.claim.type, error)
        if batch.claim.priority is Priority.URGENT:
            self._send_directly(batch)
        else:
            await self._run_is_over(batch, taken=False)

    async def _start_due(self) -> float:
        """Claim and start what is due, one batch per lane in turn, while there is room. Returns the seconds
        until more is due."""
        while True:
            lanes = await self._lanes()
            waiting = [lane for lane in lanes if self._has_room(lane)]
            claimed = [await self._claim(lane) for lane in waiting if lane.due_at <= now()]
            started = [batch for batch in claimed if batch]
            await self._ask_for_runs(started)
            if not started:
                soonest = min((lane.due_at for lane in waiting), default=None)
                pause = LOOK_SECONDS if soonest is None else (soonest - now()).total_seconds()
                longest = LOOK_SECONDS if len(waiting) == len(lanes) else LASTING_SECONDS
                return min(max(pause, SHORTEST_SECONDS), longest)

    async def _claim(self, lane: Lane) -> InFlightBatch | None:
        """Claim a batch; None if another dispatcher was quicker or an earlier lane took the room."""
        if not self._has_room(lane):
            return None
        claim = await self._reserve(lane)
        return None if claim is None else self._claimed(claim)

    def _has_room(self, lane: Lane) -> bool:
        """Whether the lane may start another run."""
        return self._room.is_free(self.types[lane.type], lane.priority)
