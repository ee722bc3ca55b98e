"""Sending what was rendered through one step of its route, and recording it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import random
from uuid import UUID

from waypost import policy
from waypost.batch import Batch
from waypost.channels import Channel, ChannelUnavailable, replies
from waypost.clock import now
from waypost.ledger import NotRecorded, reading
from waypost.ledger.recorder import Begin, Finish
from waypost.line import Line
from waypost.notification import Delivery, Message, Rendered
from waypost.notification_type import Category, NotificationType
from waypost.outcome import Outcome, Phase, Verdict
from waypost.policy import Decision
from waypost.priority import Priority
from waypost.routes import Step, in_turn, steps, why_unreached
from waypost.runtime import Runtime
from waypost.slot import Slot
from waypost.standing import Standing
from waypost.states import State

PATIENCE = (
    2.0  # seconds a run waits for a domain's pace; what is to wait longer comes back as a run of its own
)
_TOO_LATE = Decision(State.EXPIRED, "deadline passed before it could go")
_NOT_OURS = "no longer this run's to send: cancelled, held, or with another run"


@dataclass(slots=True)
class Dispatch:
    """One run's way through its route.

    flow_run_id: written with each attempt, so that the ledger points back to the Prefect UI.
    priority: of its notifications, where that is not the type's own.
    """

    runtime: Runtime
    type: NotificationType
    batch: UUID
    flow_run_id: UUID | None = None
    priority: Priority | None = None
    route: list[Step] = field(init=False)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]], init=False)
    _jitter: float = field(default_factory=random, init=False)  # one a run: what it defers stays together
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _weights: dict[str, int] = field(init=False)

    @classmethod
    def of(cls, runtime: Runtime, deliveries: Batch[Delivery], flow_run_id: UUID | None) -> Dispatch:
        """The way of a batch, whose members are all of one priority."""
        first = next(iter(deliveries), None)
        priority = first.notification.priority if first else None
        return cls(runtime, deliveries.type, deliveries.id, flow_run_id, priority)

    def __post_init__(self) -> None:
        lane = self._priority
        terms = self.runtime.settings.providers
        allowed = [
            one for one in self.runtime.channels if one.name not in terms or lane in terms[one.name].lanes
        ]
        self.route = steps(self.type.route, allowed)
        self._weights = {name: one.weight for name, one in terms.items() if one.weight}

    @property
    def _digest(self) -> bool:
        return self.type.category is Category.DIGEST

    @property
    def _priority(self) -> Priority:
        return self.priority or self.type.lane

    def _way(self, rendered: Rendered) -> Sequence[Step]:
        """The route as this notification takes it."""
        return in_turn(self.route, self._weights, rendered.notification.id)

    def first_step(self, rendered: Rendered, step: int = 0) -> int | None:
        """The next step at or after `step` that this recipient can be reached by, or None."""
        way = self._way(rendered)
        for number in range(step, len(way)):
            if way[number][0] in rendered.messages:
                return number
        return None

    def _open_step(self, rendered: Rendered, step: int) -> int | None:
        """The same, where a provider whose circuit is open is passed over for another of its kind: nothing
        was sent through it. What is in doubt stays with the provider that may have taken it."""
        first = self.first_step(rendered, step)
        if first is None or rendered.notification.in_doubt:
            return first
        way = self._way(rendered)
        same = (number for number in range(first, len(way)) if way[number][0] == way[first][0])
        return next((n for n in same if not self._standing(way[n][1]).rests()), first)

    def _standing(self, channel: Channel) -> Standing:
        return self.runtime.standing(channel.name)

    async def prepare(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Give each its step; what could not be rendered, or cannot be reached, fails here."""
        ready: list[Delivery] = []
        hopeless: list[tuple[Delivery, Decision]] = []
        doubted = await self._may_have_taken(deliveries)
        for delivery in deliveries:
            provider = doubted.get(delivery.notification.id)
            if delivery.state is not State.CLAIMED:
                ready.append(delivery)
            elif delivery.rendered.error:
                hopeless.append((delivery, Decision(State.FAILED, delivery.rendered.error)))
            elif (step := self._step_of(delivery, provider)) is None:
                # A setting that is missing is no reason to lose anything: it waits for one.
                hopeless.append((delivery, self._put_off(delivery, self._unreached(delivery, provider))))
            else:
                ready.append(replace(delivery, step=step))
        return ready + await self._settle(hopeless)

    async def _may_have_taken(self, deliveries: Sequence[Delivery]) -> dict[UUID, str]:
        """The provider of each that is in doubt, which alone it may be sent through again: the ledger is
        asked, as a step's number means another provider once their order or weights are changed."""
        ids = [one.notification.id for one in deliveries if one.notification.in_doubt]
        return await reading.last_providers(self.runtime.ledger, ids) if ids else {}

    def _step_of(self, delivery: Delivery, provider: str | None) -> int | None:
        """Where it goes first: through `provider`, if one is given, and else what its route says."""
        rendered = delivery.rendered
        if provider is None:
            return self._open_step(rendered, delivery.notification.step)
        steps = (number for number, step in enumerate(self._way(rendered)) if step[1].name == provider)
        return next((number for number in steps if self._way(rendered)[number][0] in rendered.messages), None)

    def _unreached(self, delivery: Delivery, provider: str | None) -> str:
        if provider is not None:
            return f"{provider} may have taken it, and is no provider of {self.type.name} now"
        address = delivery.notification.recipient.address
        kinds = self.type.kinds_of(delivery.notification.channels)
        reached = [kind for kind in kinds if address(kind)]
        return why_unreached(kinds, reached, [kind for kind, _ in self.route])

    def advance(self, delivery: Delivery) -> Delivery:
        """A refused delivery at the next step of its route; it has one, or it were not refused."""
        step = self.first_step(delivery.rendered, delivery.step + 1)
        return replace(delivery, step=delivery.step if step is None else step, refused=False)

    async def defer(self, deliveries: Sequence[Delivery], reason: str) -> list[Delivery]:
        """Put off what a provider that would not open was meant to take: together, so that it comes
        back as one batch. What has no time left for that provider is refused by it."""
        return await self._settle([(delivery, self._put_off(delivery, reason)) for delivery in deliveries])

    def _put_off(self, delivery: Delivery, reason: str) -> Decision:
        notification, moment = delivery.notification, now()
        wait = policy.backoff(self.type.retry, notification.tries + 1, self._jitter)
        due = policy.due_after(wait, moment)
        return _deferred(delivery, reason, due, moment)

    async def send(self, deliveries: Sequence[Delivery]) -> tuple[list[Delivery], str | None]:
        """Try each delivery's own step once.

        Answers the deliveries moved on, and the reason if a provider would not open: those waiting
        for it are then still CLAIMED, and nothing of theirs was sent.
        """
        results: list[Delivery] = []
        unavailable: list[str] = []
        waiting = list(deliveries)
        while waiting:
            moved, reasons = await self._send_each(waiting)
            results += moved
            unavailable += reasons
            waiting = self._rerouted(waiting, moved) if reasons else []
        self._note_passed_over(results)
        return results, "; ".join(dict.fromkeys(unavailable)) or None

    async def _send_each(self, deliveries: Sequence[Delivery]) -> tuple[list[Delivery], list[str]]:
        """Each over its own step's provider, one provider after the other."""
        by_step: dict[tuple[int, str], list[Delivery]] = {}
        for delivery in deliveries:
            channel = self._way(delivery.rendered)[delivery.step][1]
            by_step.setdefault((delivery.step, channel.name), []).append(delivery)
        results: list[Delivery] = []
        reasons: list[str] = []
        for (step, _), members in sorted(by_step.items()):
            kind, channel = self._way(members[0].rendered)[step]
            moved, reason = await self._send_through(kind, channel, members)
            results += moved
            if reason and len(moved) < len(members):
                reasons.append(reason)
        return results, reasons

    def _rerouted(self, tried: Sequence[Delivery], moved: Sequence[Delivery]) -> list[Delivery]:
        """What was not sent because its provider's circuit has opened, and another of its kind may take."""
        done = {one.notification.id for one in moved}
        left = (one for one in tried if one.notification.id not in done)
        elsewhere = ((one, self._open_step(one.rendered, one.step)) for one in left)
        return [replace(one, step=step) for one, step in elsewhere if step is not None and step != one.step]

    def _note_passed_over(self, results: Sequence[Delivery]) -> None:
        for one in results:
            first = self.first_step(one.rendered, one.notification.step)
            if one.state is State.SENT and not one.said and first is not None and first < one.step:
                self.passed_over[self._way(one.rendered)[first][1].name, one.provider] += 1

    async def _send_through(
        self, kind: str, channel: Channel, members: list[Delivery]
    ) -> tuple[list[Delivery], str | None]:
        """As many messages at once as the provider has places, each place one after the other."""
        standing = self._standing(channel)
        if reason := await _not_open(channel, standing):
            return [], reason
        line = Line(kind, members, standing.pace)
        moved: list[Delivery] = []
        gone: list[Delivery] = []
        slots = [
            asyncio.create_task(self._send_over(channel, standing, line, moved, gone))
            for _ in range(min(channel.places.most_for(self._priority), len(members)))
        ]
        try:
            await asyncio.wait(slots)
        except asyncio.CancelledError:
            # What is on the wire whole is still heard and recorded; nothing more is taken.
            self._stop.set()
            channel.cut_short(slots)
            await asyncio.wait(slots)
            raise
        if failed := [error for slot in slots if (error := slot.exception())]:
            raise failed[0]
        moved += await self._whereabouts(gone)
        moved += await self._slowed_down(line)
        return moved, next((reason for slot in slots if (reason := slot.result())), None)

    async def _whereabouts(self, gone: Sequence[Delivery]) -> list[Delivery]:
        """What turned out to be no longer this run's, as it stands now."""
        if not gone:
            return []
        states = await reading.states(self.runtime.ledger, [one.notification.id for one in gone])
        return [
            replace(one, state=states.get(one.notification.id, State.CANCELLED), reason=_NOT_OURS)
            for one in gone
        ]

    async def _slowed_down(self, line: Line) -> list[Delivery]:
        """What a domain asked to have later is put off until then, without an attempt."""
        moment, clock = now(), asyncio.get_running_loop().time()
        decided: list[tuple[Delivery, Decision]] = []
        for at, delivery in line.leave():
            due = policy.due_after(timedelta(seconds=max(0.0, at - clock)), moment)
            reason = f"{line.domain(delivery)} asked us to slow down"
            decided.append((delivery, _deferred(delivery, reason, due, moment)))
        return await self._settle(decided)

    async def _send_over(
        self, channel: Channel, standing: Standing, line: Line, moved: list[Delivery], gone: list[Delivery]
    ) -> str | None:
        """One message after the other over one place, which is given up to others between messages
        once the outcome is written. How one ended and that the next begins is one write."""
        slot = Slot(channel.places, self._priority, self.runtime.recorder, self._stop)
        try:
            await slot.take()
            while delivery := await self._turn(line, standing, slot):
                if delivery.notification.expired:
                    moved += await self._settle([(delivery, _TOO_LATE)])
                    continue
                if not standing.admits():
                    line.back(delivery)
                    return standing.describe()
                begin = self._begin(channel, delivery)
                with standing.offering():
                    number = await slot.begin(begin)
                    if not number:
                        gone.append(delivery)
                        continue
                    try:
                        outcome = await self._offer(channel, delivery.rendered.messages[begin.channel])
                    except ChannelUnavailable as error:
                        # Nothing was sent: it stays this run's, for the task's own retries.
                        standing.failed(error.reason)
                        outcome = Outcome(Verdict.DEFERRED, Phase.CONNECT, words=error.reason)
                        slot.ended = self._finish(delivery, begin, outcome, Decision(State.CLAIMED))
                        return str(error)
                    # What was cut short, or came too late to be offered, says nothing about the provider.
                    if not self._stop.is_set() and outcome != replies.too_late():
                        standing.answered(line.domain(delivery), outcome)
                result, slot.ended = self._conclude(delivery, begin, number, outcome)
                moved.append(result)
                await slot.share()
        except NotRecorded:
            self._stop.set()  # nobody sends on what cannot be recorded
            slot.ended = None
            raise
        finally:
            await slot.leave()
        return None

    async def _offer(self, channel: Channel, message: Message) -> Outcome:
        """Send it, unless the run was told to stop while its attempt was written down."""
        if self._stop.is_set():
            return replies.lost(Phase.CONNECT, "stopped")
        return await channel.send(message)

    async def _turn(self, line: Line, standing: Standing, slot: Slot) -> Delivery | None:
        """The next that may go now: short pauses a domain or the provider's rate asks for are waited
        out, with the place given up."""
        clock, rate = asyncio.get_running_loop().time, standing.rate
        while not self._stop.is_set():
            delivery, at = line.next(clock()), line.next_at()
            if delivery is not None:
                left = (delivery.notification.expires_at - now()).total_seconds()
                if rate is not None and left > 0 and not rate.take_now(self._priority):
                    await slot.lend(until=rate.take(self._priority), within=left)
                return None if self._stop.is_set() else delivery
            if at is None or at - clock() > PATIENCE:
                return None
            await slot.lend(until=asyncio.sleep(at - clock()))
        return None

    def _begin(self, channel: Channel, delivery: Delivery) -> Begin:
        return Begin(
            notification_id=delivery.notification.id,
            batch=self.batch,
            channel=self._way(delivery.rendered)[delivery.step][0],
            provider=channel.name,
            flow_run_id=self.flow_run_id,
            step=delivery.step,
        )

    def _conclude(
        self, delivery: Delivery, begin: Begin, number: int, outcome: Outcome
    ) -> tuple[Delivery, Finish]:
        """What the outcome makes of the delivery, and what of it is to be written."""
        notification = delivery.notification
        decision = policy.after(
            outcome,
            retry=self.type.retry,
            doubt=self.type.when_in_doubt,
            tries=number,
            in_doubt=notification.in_doubt,
            expires_at=notification.expires_at,
            now=now(),
            jitter=self._jitter,
        )
        following = self.first_step(delivery.rendered, delivery.step + 1)
        goes_on = decision.refused and following is not None
        said = (*delivery.said, f"{begin.provider}: {decision.reason}") if decision.refused else delivery.said
        if decision.state is State.FAILED and len(said) > 1:
            decision = replace(decision, reason="; ".join(said))
        recorded = replace(decision, state=State.SENDING) if goes_on else decision
        result = replace(
            delivery,
            state=decision.state,
            reason=decision.reason,
            provider=begin.provider,
            outcome=outcome,
            refused=goes_on,
            said=said,
        )
        return result, self._finish(delivery, begin, outcome, recorded)

    def _finish(self, delivery: Delivery, begin: Begin, outcome: Outcome, decision: Decision) -> Finish:
        return Finish(
            notification_id=delivery.notification.id,
            batch=self.batch,
            decision=decision,
            step=delivery.step,
            attempt=begin.id,
            outcome=outcome,
            digest=self._digest,
        )

    async def _settle(self, decided: Sequence[tuple[Delivery, Decision]]) -> list[Delivery]:
        """Write decisions that needed no attempt. What moves on to the next step of its route is still
        this run's: nothing of it is written yet."""
        settled: list[Delivery] = []
        finishes: list[Finish] = []
        for delivery, decision in decided:
            goes_on = decision.refused and self.first_step(delivery.rendered, delivery.step + 1) is not None
            said = (*delivery.said, decision.reason) if decision.refused else delivery.said
            reason = "; ".join(said) if decision.refused else decision.reason
            settled.append(replace(delivery, state=decision.state, reason=reason, refused=goes_on, said=said))
            if not goes_on:
                ended = replace(decision, reason=reason)
                finishes.append(
                    Finish(
                        delivery.notification.id, self.batch, ended, step=delivery.step, digest=self._digest
                    )
                )
        await self.runtime.recorder.finish_all(finishes)
        return settled


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


def _deferred(delivery: Delivery, reason: str, due: datetime, moment: datetime) -> Decision:
    notification = delivery.notification
    return policy.defer(
        reason, due=due, expires_at=notification.expires_at, now=moment, in_doubt=notification.in_doubt
    )


def updated(items: Sequence[Delivery], *changes: Sequence[Delivery]) -> list[Delivery]:
    """`items` in their order, each as the latest of `changes` has it."""
    latest = {change.notification.id: change for some in changes for change in some}
    return [latest.get(item.notification.id, item) for item in items]
