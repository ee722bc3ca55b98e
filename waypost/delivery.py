"""Sending what was rendered through one step of its route, and recording it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import random
from uuid import UUID

from waypost import policy
from waypost.batch import Batch
from waypost.channels import Channel, ChannelUnavailable
from waypost.clock import now
from waypost.ledger import NotRecorded, reading
from waypost.ledger.recorder import Begin, Finish
from waypost.notification import Delivery, Rendered
from waypost.notification_type import NotificationType
from waypost.outcome import Outcome, Phase, Verdict
from waypost.policy import Decision
from waypost.priority import Priority
from waypost.routes import steps, why_unreached
from waypost.runtime import Runtime
from waypost.states import State

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
    route: list[tuple[str, Channel]] = field(init=False)
    _jitter: float = field(default_factory=random, init=False)  # one a run: what it defers stays together
    _stopping: bool = field(default=False, init=False)

    @classmethod
    def of(cls, runtime: Runtime, deliveries: Batch[Delivery], flow_run_id: UUID | None) -> Dispatch:
        """The way of a batch, whose members are all of one priority."""
        first = next(iter(deliveries), None)
        priority = first.notification.priority if first else None
        return cls(runtime, deliveries.type, deliveries.id, flow_run_id, priority)

    def __post_init__(self) -> None:
        self.route = steps(self.type.route, self.runtime.channels)

    @property
    def _priority(self) -> Priority:
        return self.priority or self.type.lane

    def first_step(self, rendered: Rendered, step: int = 0) -> int | None:
        """The next step at or after `step` that this recipient can be reached by, or None."""
        for number in range(step, len(self.route)):
            if self.route[number][0] in rendered.messages:
                return number
        return None

    async def prepare(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Give each its step; what could not be rendered, or cannot be reached, fails here."""
        ready: list[Delivery] = []
        hopeless: list[tuple[Delivery, Decision]] = []
        for delivery in deliveries:
            if delivery.state is not State.CLAIMED:
                ready.append(delivery)
            elif delivery.rendered.error:
                hopeless.append((delivery, Decision(State.FAILED, delivery.rendered.error)))
            elif (step := self.first_step(delivery.rendered, delivery.notification.step)) is None:
                # A setting that is missing is no reason to lose anything: it waits for one.
                hopeless.append((delivery, self._put_off(delivery, self._unreached(delivery))))
            else:
                ready.append(replace(delivery, step=step))
        return ready + await self._settle(hopeless)

    def _unreached(self, delivery: Delivery) -> str:
        address = delivery.notification.recipient.address
        reached = [kind for kind in self.type.route if address(kind)]
        return why_unreached(self.type.route, reached, [kind for kind, _ in self.route])

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
        return policy.defer(reason, due=due, expires_at=notification.expires_at, now=moment)

    async def send(self, deliveries: Sequence[Delivery]) -> tuple[list[Delivery], str | None]:
        """Try each delivery's own step once.

        Answers the deliveries moved on, and the reason if a provider would not open: those waiting
        for it are then still CLAIMED, and nothing of theirs was sent.
        """
        results: list[Delivery] = []
        unavailable: list[str] = []
        by_step: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            by_step.setdefault(delivery.step, []).append(delivery)
        for step, members in sorted(by_step.items()):
            moved, reason = await self._send_through(step, members)
            results += moved
            if reason:
                unavailable.append(reason)
        return results, "; ".join(unavailable) or None

    async def _send_through(self, step: int, members: list[Delivery]) -> tuple[list[Delivery], str | None]:
        """As many messages at once as the provider has places, each place one after the other."""
        channel = self.route[step][1]
        waiting = iter(members)
        moved: list[Delivery] = []
        gone: list[Delivery] = []
        try:
            await channel.open()
        except ChannelUnavailable as error:
            return [], str(error)
        slots = [
            asyncio.create_task(self._slot(channel, waiting, moved, gone))
            for _ in range(min(channel.places.most, len(members)))
        ]
        try:
            await asyncio.wait(slots)
        except asyncio.CancelledError:
            # What is on the wire is still heard and recorded; nothing more is taken.
            self._stopping = True
            await asyncio.wait(slots)
            raise
        if failed := [error for slot in slots if (error := slot.exception())]:
            raise failed[0]
        moved += await self._whereabouts(gone)
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

    async def _slot(
        self, channel: Channel, waiting: Iterator[Delivery], moved: list[Delivery], gone: list[Delivery]
    ) -> str | None:
        """One message after the other over one place, which is given up to others between messages
        once the outcome is written. How one ended and that the next begins is one write."""
        ended: Finish | None = None
        places = channel.places
        await places.take(self._priority)
        try:
            while not self._stopping and (delivery := next(waiting, None)) is not None:
                if delivery.notification.expired:
                    moved += await self._settle([(delivery, _TOO_LATE)])
                    continue
                begin = self._begin(channel, delivery)
                number = await self.runtime.recorder.begin(begin, after=ended)
                ended = None
                if not number:
                    gone.append(delivery)
                    continue
                try:
                    outcome = await channel.send(delivery.rendered.messages[begin.channel])
                except ChannelUnavailable as error:
                    # Nothing was sent: it stays this run's, for the task's own retries.
                    outcome = Outcome(Verdict.DEFERRED, Phase.CONNECT, words=error.reason)
                    ended = self._finish(delivery, begin, outcome, Decision(State.CLAIMED))
                    return str(error)
                result, ended = self._conclude(delivery, begin, number, outcome)
                moved.append(result)
                if places.wanted(self._priority):
                    await self.runtime.recorder.finish(ended)
                    ended = None
                    places.give_back()
                    await places.take(self._priority)
        except NotRecorded:
            self._stopping = True  # nobody sends on what cannot be recorded
            ended = None
            raise
        finally:
            if ended is not None:
                await self.runtime.recorder.finish(ended)
            places.give_back()
        return None

    def _begin(self, channel: Channel, delivery: Delivery) -> Begin:
        return Begin(
            notification_id=delivery.notification.id,
            batch=self.batch,
            channel=self.route[delivery.step][0],
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
                finishes.append(Finish(delivery.notification.id, self.batch, ended, step=delivery.step))
        await self.runtime.recorder.finish_all(finishes)
        return settled


def updated(items: Sequence[Delivery], *changes: Sequence[Delivery]) -> list[Delivery]:
    """`items` in their order, each as the latest of `changes` has it."""
    latest = {change.notification.id: change for some in changes for change in some}
    return [latest.get(item.notification.id, item) for item in items]
