"""Sending over one provider: a message at a time a place, each written down before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from waypost.channels.channel import Channel, ChannelUnavailable, ReceivesLateAnswers, Step
from waypost.delivery.outcomes import OutcomeHandler, deferred
from waypost.delivery.provider_state import ProviderState
from waypost.delivery.runtime import Runtime
from waypost.delivery.send_queue import SendQueue
from waypost.delivery.slot import Slot
from waypost.ledger import NotRecorded
from waypost.ledger.queue import status
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.model.notification import Delivery, Message
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.policy import classify, retry
from waypost.policy.retry import Decision
from waypost.system.clock import now
from waypost.system.isolation import ItemFailed, isolated

PATIENCE = 2.0  # seconds a run waits for a domain's pace; what waits longer comes back as a run of its own
_TOO_LATE = Decision(State.EXPIRED, "deadline passed before it could go")
_NOT_OURS = "no longer this run's to send: cancelled, held, or with another run"


async def send_over(
    step: Step, members: Sequence[Delivery], outcomes: OutcomeHandler, stop: asyncio.Event
) -> tuple[list[Delivery], str | None]:
    """Offer each of `members` once over their step's provider. Returns those moved on, and the reason if the
    provider takes no more: nothing was sent of what it was not offered.

    stop: ends what has not left. It is set here too when this is cancelled.
    """
    kind, channel = step
    state = outcomes.router.provider_state(channel.name)
    if reason := await _not_open(channel, state):
        return [], reason
    queue = SendQueue(kind, members, state.throttle, outcomes.router.priority)
    return await SendLoop(channel, state, queue, outcomes, stop).run(len(members))


async def _not_open(channel: Channel, state: ProviderState) -> str | None:
    """Why the provider takes nothing now, if so."""
    if not state.allows():
        return state.describe()
    with state.offering():  # if this is the probe, it succeeds with the first message
        try:
            await channel.open()
        except ChannelUnavailable as error:
            state.record_failure(error.reason)
            return str(error)
    return None


@dataclass(slots=True)
class SendLoop:
    """What waits for a provider's places, and what has come of it so far. lost: the deliveries that turned
    out to be no longer this run's."""

    channel: Channel
    state: ProviderState
    queue: SendQueue
    outcomes: OutcomeHandler
    stop: asyncio.Event
    moved: list[Delivery] = field(default_factory=list[Delivery])
    lost: list[Delivery] = field(default_factory=list[Delivery])

    @property
    def runtime(self) -> Runtime:
        return self.outcomes.router.runtime

    @property
    def priority(self) -> Priority:
        return self.outcomes.router.priority

    async def run(self, count: int) -> tuple[list[Delivery], str | None]:
        """Over as many places as the lane may have."""
        places = min(self.channel.places.most_for(self.priority), count)
        slots = [asyncio.create_task(self._one_place()) for _ in range(places)]
        try:
            await asyncio.wait(slots)
        except asyncio.CancelledError:
            # What is on the wire whole is still heard and recorded; nothing more is taken.
            self.stop.set()
            self.channel.cut_short(slots)
            await asyncio.wait(slots)
            raise
        if failed := [error for slot in slots if (error := slot.exception())]:
            raise failed[0]
        moved = [*self.moved, *await self._whereabouts(), *await self._slowed_down()]
        return moved, next((reason for slot in slots if (reason := slot.result())), None)

    async def _one_place(self) -> str | None:
        """One message after the other over one place, which is given up to others between messages
        once the outcome is written. How one ended and that the next begins is one write."""
        slot = Slot(self.channel.places, self.priority, self.runtime.recorder, self.stop)
        try:
            await slot.take()
            while delivery := await self._next(slot):
                if reason := await self._send_or_expire(slot, delivery):
                    return reason
        except NotRecorded:
            self.stop.set()  # nobody sends on what cannot be recorded
            slot.ended = None
            raise
        finally:
            await slot.leave()
        return None

    async def _send_or_expire(self, slot: Slot, delivery: Delivery) -> str | None:
        """Returns why the provider takes no more, if so."""
        if delivery.notification.expired:
            self.moved += await self.outcomes.settle([(delivery, _TOO_LATE)])
            return None
        if not self.state.allows():
            self.queue.requeue(delivery)
            return self.state.describe()
        reason = await self._attempt(slot, delivery)
        if reason is None:
            await slot.share()
        return reason

    async def _attempt(self, slot: Slot, delivery: Delivery) -> str | None:
        """Offer one message, if it is still this run's. Returns why the provider takes no more, if so."""
        started = self.outcomes.start_attempt(delivery)
        with self.state.offering():
            number = await self._write_start(slot, delivery, started)
            if not number:
                return None
            try:
                outcome = await self._offer(delivery.rendered.messages[started.channel])
            except ChannelUnavailable as error:
                self._leave_unsent(slot, delivery, started, error.reason)
                return str(error)
            # An outcome that is decided here says nothing about the provider.
            if not (self.stop.is_set() or classify.decided_here(outcome)):
                self.state.record_outcome(self.queue.domain(delivery), outcome, self.priority)
        result, slot.ended = self.outcomes.finish_attempt(delivery, started, number, outcome)
        self.moved.append(result)
        if outcome.verdict is Verdict.UNKNOWN:
            self._listen_on(delivery, started, number)
        return None

    async def _write_start(self, slot: Slot, delivery: Delivery, started: AttemptStarted) -> int:
        """The attempt's number, written down before anything is sent; 0 when it may not be made."""
        try:
            number = await slot.begin(started)
        except ItemFailed as failed:
            self.moved += await self.outcomes.settle([(delivery, Decision(State.FAILED, str(failed)))])
            return 0
        if not number:
            self.lost.append(delivery)
        return number

    def _leave_unsent(self, slot: Slot, delivery: Delivery, started: AttemptStarted, reason: str) -> None:
        """Nothing was sent: the delivery stays this run's, for the task's own retries."""
        self.state.record_failure(reason)
        outcome = Outcome(Verdict.DEFERRED, Phase.CONNECT, words=reason)
        slot.ended = self.outcomes.finish(delivery, Decision(State.CLAIMED), started, outcome)

    def _listen_on(self, delivery: Delivery, begin: AttemptStarted, number: int) -> None:
        """Let an answer that comes when the attempt is written down settle it."""
        if not isinstance(self.channel, ReceivesLateAnswers):
            return
        answer = self.channel.owed(delivery.notification.id)
        if answer is None:
            return

        def conclude(outcome: Outcome) -> AttemptFinished:
            self.state.record_outcome(self.queue.domain(delivery), outcome, self.priority)
            return self.outcomes.finish_attempt(delivery, begin, number, outcome)[1]

        self.runtime.late.expect(answer, conclude, self.channel.name)

    async def _next(self, slot: Slot) -> Delivery | None:
        """The next that may go now: short pauses a domain or the provider's rate asks for are waited
        out, with the place given up."""
        clock, rate = asyncio.get_running_loop().time, self.state.rate_limiter
        while not self.stop.is_set():
            delivery, at = self.queue.next(clock()), self.queue.next_at()
            if delivery is not None:
                left = (delivery.notification.expires_at - now()).total_seconds()
                if rate is not None and left > 0 and not rate.try_acquire(self.priority):
                    await slot.release_until(until=rate.acquire(self.priority), within=left)
                return None if self.stop.is_set() else delivery
            if at is None or at - clock() > PATIENCE:
                return None
            await slot.release_until(until=asyncio.sleep(at - clock()))
        return None

    async def _offer(self, message: Message) -> Outcome:
        """Send it, unless the run was told to stop while its attempt was written down."""
        if self.stop.is_set():
            return classify.lost(Phase.CONNECT, "stopped")
        try:
            with isolated("sending", ChannelUnavailable, NotRecorded, item=message.notification.id):
                return await self.channel.send(message)
        except ItemFailed as failed:
            return classify.broken(Phase.DOT, str(failed))  # how far it was only the channel knows

    async def _whereabouts(self) -> list[Delivery]:
        """What turned out to be no longer this run's, as it stands now."""
        if not self.lost:
            return []
        states = await status.states(self.runtime.ledger, [one.notification.id for one in self.lost])
        return [
            replace(one, state=states.get(one.notification.id, State.CANCELLED), reason=_NOT_OURS)
            for one in self.lost
        ]

    async def _slowed_down(self) -> list[Delivery]:
        """What a domain asked to have later is put off until then, without an attempt."""
        moment, clock = now(), asyncio.get_running_loop().time()
        decided: list[tuple[Delivery, Decision]] = []
        for at, delivery in self.queue.drain_delayed():
            due = retry.due_after(timedelta(seconds=max(0.0, at - clock)), moment)
            reason = f"{self.queue.domain(delivery)} asked us to slow down"
            decided.append((delivery, deferred(delivery, reason, due, moment)))
        return await self.outcomes.settle(decided)
