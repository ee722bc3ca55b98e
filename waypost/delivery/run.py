"""Sends a batch of rendered messages along the steps of their route, and records the outcomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from waypost.channels.channel import Step
from waypost.delivery.late_answers import LateAnswers
from waypost.delivery.outcomes import OutcomeHandler
from waypost.delivery.router import Router
from waypost.delivery.send_loop import SendLoop, open_channel
from waypost.delivery.send_queue import SendQueue
from waypost.ledger import Ledger
from waypost.ledger.queue import status
from waypost.model.notification import Delivery
from waypost.model.states import State
from waypost.policy.retry import Decision

_NOT_OURS = "no longer in this run: cancelled, held, or claimed by another run"


@dataclass(slots=True)
class DeliveryRun:
    """One run of a batch along its route. passed_over: how many messages were sent through another provider
    because their first provider's circuit was open, by (first provider, provider used, client)."""

    router: Router
    outcomes: OutcomeHandler
    ledger: Ledger
    late: LateAnswers
    passed_over: Counter[tuple[str, str, str]] = field(
        default_factory=Counter[tuple[str, str, str]], init=False
    )
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def prepare(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Give each delivery its first step. A delivery that could not be rendered fails. A delivery whose
        rendering was put off, or for which there is no provider, is deferred."""
        ready: list[Delivery] = []
        hopeless: list[tuple[Delivery, Decision]] = []
        doubted = await self._may_have_taken(deliveries)
        for delivery in deliveries:
            provider = doubted.get(delivery.notification.id)
            if delivery.state is not State.CLAIMED:
                ready.append(delivery)
            elif delivery.rendered.error:
                hopeless.append((delivery, Decision(State.FAILED, delivery.rendered.error)))
            elif delivery.rendered.deferred_until:
                hopeless.append((delivery, self.outcomes.defer(delivery, delivery.rendered.deferred_until)))
            elif (step := self.router.begins(delivery, provider)) is None:
                # A missing setting must not lose a notification: it waits for the setting.
                why = self.router.why_none(delivery, provider)
                hopeless.append((delivery, self.outcomes.defer(delivery, why)))
            else:
                ready.append(delivery if step == delivery.step else replace(delivery, step=step))
        return ready + await self.outcomes.settle(hopeless)

    async def _may_have_taken(self, deliveries: Sequence[Delivery]) -> dict[UUID, str]:
        """The provider that may have delivered each notification in doubt: only that provider may be tried
        again. It is read from the ledger, because a step's number means another provider once the order or
        weights of providers change."""
        ids = [one.notification.id for one in deliveries if one.notification.in_doubt]
        return await status.providers_in_doubt(self.ledger, ids) if ids else {}

    def advance(self, delivery: Delivery) -> Delivery:
        """A refused delivery, moved to the next step of its route. Only deliveries with one are refused."""
        step = self.router.following(delivery)
        if step is None:
            return replace(delivery, refused=False)
        ours = delivery.outcome is not None and delivery.outcome.about_us
        return replace(delivery, step=step, refused=False, last_no=delivery.last_no if ours else step)

    async def defer(self, deliveries: Sequence[Delivery], reason: str) -> list[Delivery]:
        """Defer the deliveries of a provider that would not open: together, so that they come back as
        one batch. A delivery with no time left for that provider counts as refused by it."""
        return await self.outcomes.settle([(one, self.outcomes.defer(one, reason)) for one in deliveries])

    async def send(self, deliveries: Sequence[Delivery]) -> tuple[list[Delivery], str | None]:
        """Try each delivery's own step once.

        Returns the deliveries that moved on, and the reason if a provider would not open. The deliveries
        waiting for that provider are then still CLAIMED, and none of them was sent.
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
        """Send each delivery through its own step's provider, one provider after the other."""
        by_step: dict[tuple[int, str], list[Delivery]] = {}
        for delivery in deliveries:
            by_step.setdefault((delivery.step, self.router.step(delivery)[1].name), []).append(delivery)
        results: list[Delivery] = []
        reasons: list[str] = []
        for _, members in sorted(by_step.items()):
            moved, reason = await self._send_over(self.router.step(members[0]), members)
            results += moved
            if reason and len(moved) < len(members):
                reasons.append(reason)
        return results, reasons

    async def _send_over(self, step: Step, members: Sequence[Delivery]) -> tuple[list[Delivery], str | None]:
        """Offer each of `members` once to their step's provider. Returns the deliveries that moved on, and
        the reason if the provider takes no more: the other deliveries were not sent."""
        kind, channel = step
        state = self.router.provider_state(channel.name)
        if reason := await open_channel(channel, state):
            return [], reason
        queue = SendQueue(kind, members, state.throttle, self.router.priority)
        loop = SendLoop(channel, state, queue, self.outcomes, self.late, self._stop, self.router.security)
        reason = await loop.run(len(members))
        return [*loop.moved, *await self._whereabouts(loop.lost)], reason

    async def _whereabouts(self, lost: Sequence[Delivery]) -> list[Delivery]:
        """The deliveries that are no longer this run's, with their present state."""
        if not lost:
            return []
        states = await status.states(self.ledger, [one.notification.id for one in lost])
        return [
            replace(one, state=states.get(one.notification.id, State.CANCELLED), reason=_NOT_OURS)
            for one in lost
        ]

    def _rerouted(self, tried: Sequence[Delivery], moved: Sequence[Delivery]) -> list[Delivery]:
        """The deliveries not sent because their provider's circuit has opened, at another provider's step."""
        done = {one.notification.id for one in moved}
        left = (one for one in tried if one.notification.id not in done)
        elsewhere = ((one, self.router.first_open(one.rendered, one.step)) for one in left)
        return [replace(one, step=step) for one, step in elsewhere if step is not None and step != one.step]

    def _note_passed_over(self, results: Sequence[Delivery]) -> None:
        for one in results:
            if one.state is not State.SENT or one.rejections:
                continue
            first = self.router.first(one.rendered, one.notification.step)
            if first is not None and first < one.step:
                name = self.router.route(one.rendered)[first][1].name
                self.passed_over[name, one.provider, one.notification.client] += 1


def updated(items: Sequence[Delivery], *changes: Sequence[Delivery]) -> list[Delivery]:
    """`items` in their order, each replaced by its latest version in `changes`."""
    latest = {change.notification.id: change for some in changes for change in some}
    return [latest.get(item.notification.id, item) for item in items]
