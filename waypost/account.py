"""What becomes of each notification of a run, and what of it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import random
from uuid import UUID

from waypost import policy
from waypost.clock import now
from waypost.ledger.recorder import Begin, Finish
from waypost.notification import Delivery
from waypost.notification_type import Category
from waypost.outcome import Outcome
from waypost.policy import Decision
from waypost.states import State
from waypost.way import Way


@dataclass(slots=True)
class Account:
    """One run's. flow_run_id: written with each attempt, so that the ledger points back to the Prefect UI."""

    way: Way
    batch: UUID
    flow_run_id: UUID | None = None
    _jitter: float = field(default_factory=random, init=False)  # one a run: what it defers stays together
    _digest: bool = field(init=False)

    def __post_init__(self) -> None:
        self._digest = self.way.type.category is Category.DIGEST

    def begin(self, delivery: Delivery) -> Begin:
        """Its next attempt, over the step it is at."""
        kind, channel = self.way.step(delivery)
        return Begin(
            notification_id=delivery.notification.id,
            batch=self.batch,
            channel=kind,
            provider=channel.name,
            flow_run_id=self.flow_run_id,
            step=delivery.step,
        )

    def conclude(
        self, delivery: Delivery, begin: Begin, number: int, outcome: Outcome
    ) -> tuple[Delivery, Finish]:
        """What the outcome of an attempt makes of the delivery, and what of it is to be written."""
        notification = delivery.notification
        decision = policy.after(
            outcome,
            retry=self.way.type.retry,
            doubt=self.way.type.when_in_doubt,
            tries=number,
            in_doubt=notification.in_doubt,
            expires_at=notification.expires_at,
            now=now(),
            jitter=self._jitter,
        )
        if outcome.about_us and decision.state is State.DEFERRED and self.way.elsewhere(delivery):
            decision = replace(decision, state=State.FAILED, due=None, refused=True)
        goes_on = decision.refused and self.way.following(delivery) is not None
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
        return result, self.finish(delivery, recorded, begin, outcome)

    def finish(
        self,
        delivery: Delivery,
        decision: Decision,
        begin: Begin | None = None,
        outcome: Outcome | None = None,
    ) -> Finish:
        """The decision to be written, and the attempt that led to it, if any."""
        return Finish(
            notification_id=delivery.notification.id,
            batch=self.batch,
            decision=decision,
            step=_comes_back_at(delivery, outcome) if decision.state is State.DEFERRED else delivery.step,
            attempt=begin.id if begin else None,
            outcome=outcome,
            digest=self._digest,
        )

    def put_off(self, delivery: Delivery, reason: str) -> Decision:
        """To come back by the type's retry policy."""
        notification, moment = delivery.notification, now()
        wait = policy.backoff(self.way.type.retry, notification.tries + 1, self._jitter)
        return deferred(delivery, reason, policy.due_after(wait, moment), moment)

    async def settle(self, decided: Sequence[tuple[Delivery, Decision]]) -> list[Delivery]:
        """Write decisions that needed no attempt. What moves on to the next step of its route is still
        this run's: nothing of it is written yet."""
        settled: list[Delivery] = []
        finishes: list[Finish] = []
        for delivery, decision in decided:
            goes_on = decision.refused and self.way.following(delivery) is not None
            said = (*delivery.said, decision.reason) if decision.refused else delivery.said
            reason = "; ".join(said) if decision.refused else decision.reason
            settled.append(replace(delivery, state=decision.state, reason=reason, refused=goes_on, said=said))
            if not goes_on:
                finishes.append(self.finish(delivery, replace(decision, reason=reason)))
        await self.way.runtime.recorder.finish_all(finishes)
        return settled


def _comes_back_at(delivery: Delivery, outcome: Outcome | None) -> int:
    """The step at which it is tried again: where it is, or the first of those that refused us."""
    last = outcome or delivery.outcome
    if last is None or not last.about_us or delivery.notification.in_doubt:
        return delivery.step
    return delivery.notification.step if delivery.last_no is None else delivery.last_no


def deferred(delivery: Delivery, reason: str, due: datetime, moment: datetime) -> Decision:
    """To come back when it is due, if its deadline leaves the time."""
    notification = delivery.notification
    return policy.defer(
        reason, due=due, expires_at=notification.expires_at, now=moment, in_doubt=notification.in_doubt
    )
