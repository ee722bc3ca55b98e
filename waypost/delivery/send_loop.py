"""Sends through one provider: one message at a time per permit, recorded before and after each attempt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from waypost.channels.channel import Channel, ChannelUnavailable, ReceivesLateAnswers
from waypost.delivery.late_answers import LateAnswers
from waypost.delivery.outcomes import OutcomeHandler, deferred
from waypost.delivery.provider_permit import ProviderPermit
from waypost.delivery.provider_state import ProviderState
from waypost.delivery.rate_limiter import RateLimiter
from waypost.delivery.send_queue import SendQueue
from waypost.ledger import NotRecorded
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
_TOO_LATE = Decision(State.EXPIRED, "the deadline passed before it was sent")


async def open_channel(channel: Channel, state: ProviderState) -> str | None:
    """Open the provider's channel. Returns the reason if it takes no messages now."""
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
    """Offers each of a run's deliveries once to one provider. moved: the deliveries that are done. lost: the
    deliveries that turned out to be no longer this run's. stopped: why the mail of some clients was not
    offered, if it was not. security: whether it is security mail, which goes first.

    stop: once set, no further message is sent. It is set when the loop is cancelled or cannot record.
    """

    channel: Channel
    state: ProviderState
    queue: SendQueue
    outcomes: OutcomeHandler
    late: LateAnswers
    stop: asyncio.Event
    security: bool
    moved: list[Delivery] = field(default_factory=list[Delivery])
    lost: list[Delivery] = field(default_factory=list[Delivery])
    stopped: str | None = None

    @property
    def priority(self) -> Priority:
        return self.queue.priority

    async def run(self, count: int) -> str | None:
        """Send with as many permits as the lane may have. Returns the reason if it takes no more."""
        permits = min(self.channel.permits.most_for(self.priority), count)
        senders = [asyncio.create_task(self._send_with_a_permit()) for _ in range(permits)]
        try:
            await asyncio.wait(senders)
        except asyncio.CancelledError:
            # Responses to messages that are fully on the wire are still recorded; no other message is sent.
            self.stop.set()
            self.channel.cancel_sends(senders)
            await asyncio.wait(senders)
            raise
        if failed := [error for sender in senders if (error := sender.exception())]:
            raise failed[0]
        self.moved += await self._slowed_down()
        return next((reason for sender in senders if (reason := sender.result())), self.stopped)

    async def _send_with_a_permit(self) -> str | None:
        """Send one message after the other with one permit. Between messages, once the outcome is written,
        others may take the permit. The end of one attempt and the start of the next are one write."""
        permits, recorder = self.channel.permits, self.outcomes.recorder
        permit = ProviderPermit(permits, self.priority, recorder, self.stop, security=self.security)
        try:
            await permit.take()
            while delivery := await self._next(permit):
                if reason := await self._send_or_expire(permit, delivery):
                    return reason
        except NotRecorded:
            self.stop.set()  # no message is sent that cannot be recorded
            permit.ended = None
            raise
        finally:
            await permit.leave()
        return None

    async def _send_or_expire(self, permit: ProviderPermit, delivery: Delivery) -> str | None:
        """Returns the reason if the provider takes no more."""
        if delivery.notification.expired:
            self.moved += await self.outcomes.settle([(delivery, _TOO_LATE)])
            return None
        client = delivery.notification.client
        if not self.state.allows(client):
            if self.state.is_open():
                self.queue.requeue(delivery)
                return self.state.describe()
            self.stopped = self.state.describe(client)  # the mail of other clients may still go
            return None
        reason = await self._attempt(permit, delivery)
        if reason is None:
            await permit.share()
        return reason

    async def _attempt(self, permit: ProviderPermit, delivery: Delivery) -> str | None:
        """Offer one message, if it is still this run's. Returns the reason if the provider takes no more."""
        started = self.outcomes.start_attempt(delivery)
        with self.state.offering(delivery.notification.client):
            number = await self._write_start(permit, delivery, started)
            if not number:
                return None
            try:
                outcome = await self._offer(delivery.rendered.messages[started.channel])
            except ChannelUnavailable as error:
                self._leave_unsent(permit, delivery, started, error.reason)
                return str(error)
            # An outcome that is decided here says nothing about the provider.
            if not (self.stop.is_set() or classify.decided_here(outcome)):
                self._record(delivery, outcome)
        result, permit.ended = self.outcomes.finish_attempt(delivery, started, number, outcome)
        self.moved.append(result)
        if outcome.verdict is Verdict.UNKNOWN:
            self._listen_on(delivery, started, number)
        return None

    def _record(self, delivery: Delivery, outcome: Outcome) -> None:
        domain, client = self.queue.domain(delivery), delivery.notification.client
        self.state.record_outcome(domain, outcome, self.priority, client)

    async def _write_start(self, permit: ProviderPermit, delivery: Delivery, started: AttemptStarted) -> int:
        """Record the attempt before anything is sent. Returns its number, or 0 if it must not be made."""
        try:
            number = await permit.begin(started)
        except ItemFailed as failed:
            self.moved += await self.outcomes.settle([(delivery, Decision(State.FAILED, str(failed)))])
            return 0
        if not number:
            self.lost.append(delivery)
        return number

    def _leave_unsent(
        self, permit: ProviderPermit, delivery: Delivery, started: AttemptStarted, reason: str
    ) -> None:
        """Nothing was sent: the delivery stays this run's, for the task's own retries."""
        self.state.record_failure(reason)
        outcome = Outcome(Verdict.DEFERRED, Phase.CONNECT, words=reason)
        permit.ended = self.outcomes.finish(delivery, Decision(State.CLAIMED), started, outcome)

    def _listen_on(self, delivery: Delivery, begin: AttemptStarted, number: int) -> None:
        """Let a response that arrives after the attempt was recorded settle the attempt."""
        if not isinstance(self.channel, ReceivesLateAnswers):
            return
        answer = self.channel.owed(delivery.notification.id)
        if answer is None:
            return

        def conclude(outcome: Outcome) -> AttemptFinished:
            self._record(delivery, outcome)
            return self.outcomes.finish_attempt(delivery, begin, number, outcome)[1]

        self.late.expect(answer, conclude, self.channel.name)

    async def _next(self, permit: ProviderPermit) -> Delivery | None:
        """The next delivery that may go now. Waits out short pauses of a domain's throttle or the provider's
        rate limit, with the permit released."""
        clock, rate = asyncio.get_running_loop().time, self.state.rate_limiter
        while not self.stop.is_set():
            delivery, at = self.queue.next(clock()), self.queue.next_at()
            if delivery is not None:
                left = (delivery.notification.expires_at - now()).total_seconds()
                if rate is not None and left > 0:
                    await self._wait_for_rate(rate, permit, left)
                return None if self.stop.is_set() else delivery
            if at is None or at - clock() > PATIENCE:
                return None
            await permit.release_until(until=asyncio.sleep(at - clock()))
        return None

    async def _wait_for_rate(self, rate: RateLimiter, permit: ProviderPermit, within: float) -> None:
        """Wait with the permit released, `within` seconds at most, until one more message may go."""
        if not rate.try_acquire(self.priority, security=self.security):
            await permit.release_until(rate.acquire(self.priority, security=self.security), within)

    async def _offer(self, message: Message) -> Outcome:
        """Send `message`, unless the run was stopped while the attempt was being recorded."""
        if self.stop.is_set():
            return classify.lost(Phase.CONNECT, "stopped")
        try:
            with isolated("sending", ChannelUnavailable, NotRecorded, item=message.notification.id):
                return await self.channel.send(message)
        except ItemFailed as failed:
            return classify.broken(Phase.DOT, str(failed))  # only the channel knows how far it got

    async def _slowed_down(self) -> list[Delivery]:
        """Defer the deliveries whose domain asked us to slow down, without an attempt. A domain that takes
        mail in this run gets the next after its pause; another domain as late as after an attempt."""
        moment, clock = now(), asyncio.get_running_loop().time()
        taking = {self.queue.domain(one) for one in self.moved if one.state is State.SENT}
        decided: list[tuple[Delivery, Decision]] = []
        for at, delivery in self.queue.drain_delayed():
            pause, domain = timedelta(seconds=max(0.0, at - clock)), self.queue.domain(delivery)
            reason = f"{domain} asked us to slow down"
            if domain in taking:
                decision = deferred(delivery, reason, retry.due_after(pause, moment), moment)
            else:
                decision = self.outcomes.defer(delivery, reason, at_least=pause)
            decided.append((delivery, decision))
        return await self.outcomes.settle(decided)
