"""Sends through one provider: one message at a time per permit, recorded before and after each attempt."""

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

PATIENCE = 2.0  # seconds a run waits for a throttled domain; deliveries that must wait longer are deferred
_TOO_LATE = Decision(State.EXPIRED, "deadline passed before it could go")
_NOT_OURS = "no longer this run's to send: cancelled, held, or with another run"


async def send_over(
    step: Step, members: Sequence[Delivery], outcomes: OutcomeHandler, stop: asyncio.Event
) -> tuple[list[Delivery], str | None]:
    """Offer each of `members` once to their step's provider. Returns the deliveries that moved on, and the
    reason if the provider takes no more: the other deliveries were not sent.

    stop: once set, no further message is sent. This call sets it when it is cancelled or cannot record.
    """
    kind, channel = step
    state = outcomes.router.provider_state(channel.name)
    if reason := await _not_open(channel, state):
        return [], reason
    queue = SendQueue(kind, members, state.throttle, outcomes.router.priority)
    return await SendLoop(channel, state, queue, outcomes, stop).run(len(members))


async def _not_open(channel: Channel, state: ProviderState) -> str | None:
    """The reason why the provider takes no messages now, or None."""
    if not state.allows():
        return state.describe()
    with state.offering():  # opening does not settle a probe: the first message does
        try:
            await channel.open()
        except ChannelUnavailable as error:
            state.record_failure(error.reason)
            return str(error)
    return None


@dataclass(slots=True)
class SendLoop:
    """Sends a run's deliveries through one provider. moved: the deliveries that are done. lost: the
    deliveries that turned out to be no longer this run's."""

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
        """Send with as many permits as the lane may have."""
        places = min(self.channel.places.most_for(self.priority), count)
        slots = [asyncio.create_task(self._one_place()) for _ in range(places)]
        try:
            await asyncio.wait(slots)
        except asyncio.CancelledError:
            # Responses to messages that are fully on the wire are still recorded; no other message is sent.
            self.stop.set()
            self.channel.cancel_sends(slots)
            await asyncio.wait(slots)
            raise
        if failed := [error for slot in slots if (error := slot.exception())]:
            raise failed[0]
        moved = [*self.moved, *await self._whereabouts(), *await self._slowed_down()]
        return moved, next((reason for slot in slots if (reason := slot.result())), None)

    async def _one_place(self) -> str | None:
        """Send one message after the other with one permit. Between messages, once the outcome is written,
        others may take the permit. The end of one attempt and the start of the next are one write."""
        slot = Slot(self.channel.places, self.priority, self.runtime.recorder, self.stop)
        try:
            await slot.take()
            while delivery := await self._next(slot):
                if reason := await self._send_or_expire(slot, delivery):
                    return reason
        except NotRecorded:
            self.stop.set()  # no message is sent that cannot be recorded
            slot.ended = None
            raise
        finally:
            await slot.leave()
        return None

    async def _send_or_expire(self, slot: Slot, delivery: Delivery) -> str | None:
        """Returns the reason if the provider takes no more."""
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
        """Offer one message, if it is still this run's. Returns the reason if the provider takes no more."""
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
        """Record the attempt before anything is sent. Returns its number, or 0 if it must not be made."""
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
        """Let a response that arrives after the attempt was recorded settle the attempt."""
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
        """The next delivery that may go now. Waits out short pauses of a domain's throttle or the provider's
        rate limit, with the permit released."""
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
        """Send `message`, unless the run was stopped while the attempt was being recorded."""
        if self.stop.is_set():
            return classify.lost(Phase.CONNECT, "stopped")
        try:
            with isolated("sending", ChannelUnavailable, NotRecorded, item=message.notification.id):
                return await self.channel.send(message)
        except ItemFailed as failed:
            return classify.broken(Phase.DOT, str(failed))  # only the channel knows how far it got

    async def _whereabouts(self) -> list[Delivery]:
        """The deliveries that are no longer this run's, with their present state."""
        if not self.lost:
            return []
        states = await status.states(self.runtime.ledger, [one.notification.id for one in self.lost])
        return [
            replace(one, state=states.get(one.notification.id, State.CANCELLED), reason=_NOT_OURS)
            for one in self.lost
        ]

    async def _slowed_down(self) -> list[Delivery]:
        """Defer the deliveries whose domain asked us to slow down, without an attempt."""
        moment, clock = now(), asyncio.get_running_loop().time()
        decided: list[tuple[Delivery, Decision]] = []
        for at, delivery in self.queue.drain_delayed():
            due = retry.due_after(timedelta(seconds=max(0.0, at - clock)), moment)
            reason = f"{self.queue.domain(delivery)} asked us to slow down"
            decided.append((delivery, deferred(delivery, reason, due, moment)))
        return await self.outcomes.settle(decided)
