"""Sending over one provider: a message at a time a place, each written down before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from waypost import policy
from waypost.account import Account, deferred
from waypost.channels import Channel, ChannelUnavailable, Listening, replies
from waypost.clock import now
from waypost.isolation import ItemFailed, isolated
from waypost.ledger import NotRecorded, reading
from waypost.ledger.recorder import Begin, Finish
from waypost.line import Line
from waypost.notification import Delivery, Message
from waypost.outcome import Outcome, Phase, Verdict
from waypost.policy import Decision
from waypost.routes import Step
from waypost.runtime import Runtime
from waypost.slot import Slot
from waypost.standing import Standing
from waypost.states import State

PATIENCE = 2.0  # seconds a run waits for a domain's pace; what waits longer comes back as a run of its own
_TOO_LATE = Decision(State.EXPIRED, "deadline passed before it could go")
_NOT_OURS = "no longer this run's to send: cancelled, held, or with another run"


async def send_over(
    step: Step, members: Sequence[Delivery], account: Account, stop: asyncio.Event
) -> tuple[list[Delivery], str | None]:
    """Offer each of `members` once over their step's provider. Answers those moved on, and the reason if it
    would take no more: of what it was not offered nothing was sent.

    stop: set, here too when this is cancelled, it ends whatever has not left.
    """
    kind, channel = step
    standing = account.way.standing(channel.name)
    if reason := await _not_open(channel, standing):
        return [], reason
    line = Line(kind, members, standing.pace, account.way.priority)
    return await _Sending(channel, standing, line, account, stop).run(len(members))


async def _not_open(channel: Channel, standing: Standing) -> str | None:
    """Why the provider takes nothing now, if so."""
    if not standing.admits():
        return standing.describe()
    with standing.offering():  # should this be the probe and succeed: the first message is
        try:
            await channel.open()
        except ChannelUnavailable as error:
            standing.failed(error.reason)
            return str(error)
    return None


@dataclass(slots=True)
class _Sending:
    """What waits in line for a provider's places, and what has come of it so far. gone: what turned out to
    be no longer this run's."""

    channel: Channel
    standing: Standing
    line: Line
    account: Account
    stop: asyncio.Event
    moved: list[Delivery] = field(default_factory=list[Delivery])
    gone: list[Delivery] = field(default_factory=list[Delivery])

    @property
    def runtime(self) -> Runtime:
        return self.account.way.runtime

    async def run(self, count: int) -> tuple[list[Delivery], str | None]:
        """Over as many places as the lane may have."""
        priority = self.account.way.priority
        slots = [
            asyncio.create_task(self._one_place())
            for _ in range(min(self.channel.places.most_for(priority), count))
        ]
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
        slot = Slot(self.channel.places, self.account.way.priority, self.runtime.recorder, self.stop)
        try:
            await slot.take()
            while delivery := await self._turn(slot):
                if delivery.notification.expired:
                    self.moved += await self.account.settle([(delivery, _TOO_LATE)])
                elif not self.standing.admits():
                    self.line.back(delivery)
                    return self.standing.describe()
                elif reason := await self._attempt(slot, delivery):
                    return reason
                else:
                    await slot.share()
        except NotRecorded:
            self.stop.set()  # nobody sends on what cannot be recorded
            slot.ended = None
            raise
        finally:
            await slot.leave()
        return None

    async def _attempt(self, slot: Slot, delivery: Delivery) -> str | None:
        """Offer one message, if it is still this run's. Answers why the provider takes no more, if so."""
        account, standing = self.account, self.standing
        begin = account.begin(delivery)
        with standing.offering():
            try:
                number = await slot.begin(begin)
            except ItemFailed as failed:
                self.moved += await account.settle([(delivery, Decision(State.FAILED, str(failed)))])
                return None
            if not number:
                self.gone.append(delivery)
                return None
            try:
                outcome = await self._offer(delivery.rendered.messages[begin.channel])
            except ChannelUnavailable as error:
                # Nothing was sent: it stays this run's, for the task's own retries.
                standing.failed(error.reason)
                outcome = Outcome(Verdict.DEFERRED, Phase.CONNECT, words=error.reason)
                slot.ended = account.finish(delivery, Decision(State.CLAIMED), begin, outcome)
                return str(error)
            # What was cut short says nothing about the provider.
            if not (self.stop.is_set() or replies.decided_here(outcome)):
                standing.answered(self.line.domain(delivery), outcome, account.way.priority)
        result, slot.ended = account.conclude(delivery, begin, number, outcome)
        self.moved.append(result)
        if outcome.verdict is Verdict.UNKNOWN:
            self._listen_on(delivery, begin, number)
        return None

    def _listen_on(self, delivery: Delivery, begin: Begin, number: int) -> None:
        """Let an answer that comes when the attempt is written down settle it."""
        if not isinstance(self.channel, Listening):
            return
        answer, priority = self.channel.owed(delivery.notification.id), self.account.way.priority
        if answer is None:
            return

        def conclude(outcome: Outcome) -> Finish:
            self.standing.answered(self.line.domain(delivery), outcome, priority)
            return self.account.conclude(delivery, begin, number, outcome)[1]

        self.runtime.late.expect(answer, conclude, self.channel.name)

    async def _turn(self, slot: Slot) -> Delivery | None:
        """The next that may go now: short pauses a domain or the provider's rate asks for are waited
        out, with the place given up."""
        clock, rate, priority = asyncio.get_running_loop().time, self.standing.rate, self.account.way.priority
        while not self.stop.is_set():
            delivery, at = self.line.next(clock()), self.line.next_at()
            if delivery is not None:
                left = (delivery.notification.expires_at - now()).total_seconds()
                if rate is not None and left > 0 and not rate.take_now(priority):
                    await slot.lend(until=rate.take(priority), within=left)
                return None if self.stop.is_set() else delivery
            if at is None or at - clock() > PATIENCE:
                return None
            await slot.lend(until=asyncio.sleep(at - clock()))
        return None

    async def _offer(self, message: Message) -> Outcome:
        """Send it, unless the run was told to stop while its attempt was written down."""
        if self.stop.is_set():
            return replies.lost(Phase.CONNECT, "stopped")
        try:
            with isolated("sending", ChannelUnavailable, NotRecorded, item=message.notification.id):
                return await self.channel.send(message)
        except ItemFailed as failed:
            return replies.broken(Phase.DOT, str(failed))  # how far it was only the channel knows

    async def _whereabouts(self) -> list[Delivery]:
        """What turned out to be no longer this run's, as it stands now."""
        if not self.gone:
            return []
        states = await reading.states(self.runtime.ledger, [one.notification.id for one in self.gone])
        return [
            replace(one, state=states.get(one.notification.id, State.CANCELLED), reason=_NOT_OURS)
            for one in self.gone
        ]

    async def _slowed_down(self) -> list[Delivery]:
        """What a domain asked to have later is put off until then, without an attempt."""
        moment, clock = now(), asyncio.get_running_loop().time()
        decided: list[tuple[Delivery, Decision]] = []
        for at, delivery in self.line.leave():
            due = policy.due_after(timedelta(seconds=max(0.0, at - clock)), moment)
            reason = f"{self.line.domain(delivery)} asked us to slow down"
            decided.append((delivery, deferred(delivery, reason, due, moment)))
        return await self.account.settle(decided)
