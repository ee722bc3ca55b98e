"""Decides what happens to each notification of a run, and records it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import random
from uuid import UUID

from waypost.delivery.router import Router
from waypost.ledger.queue.attempts import AttemptFinished, AttemptStarted
from waypost.ledger.queue.recorder import Recorder
from waypost.mail.masking import mask_in
from waypost.model.notification import Delivery
from waypost.model.notification_type import NotificationType
from waypost.model.outcome import Outcome, Verdict
from waypost.model.states import State
from waypost.model.suppression import EVIDENCE_KEPT, Cause, Suppression
from waypost.policy import retry
from waypost.policy.bounces import no_such_mailbox, not_taken
from waypost.policy.retry import Decision
from waypost.system.clock import now


@dataclass(slots=True)
class OutcomeHandler:
    """One run's outcomes. flow_run_id: written with each attempt, as the ledger's link to the Prefect UI."""

    router: Router
    recorder: Recorder
    batch: UUID
    flow_run_id: UUID | None = None
    _jitter: float = field(default_factory=random, init=False)  # one per run: its deferrals stay together
    _type: NotificationType = field(init=False)

    def __post_init__(self) -> None:
        self._type = self.router.type

    def start_attempt(self, delivery: Delivery) -> AttemptStarted:
        """The delivery's next attempt, at its current step."""
        kind, channel = self.router.step(delivery)
        return AttemptStarted(
            notification_id=delivery.notification.id,
            batch=self.batch,
            channel=kind,
            provider=channel.name,
            flow_run_id=self.flow_run_id,
            step=delivery.step,
            template_version=delivery.rendered.template_version,
            rule=delivery.notification.rule or None,
        )

    def finish_attempt(
        self, delivery: Delivery, begin: AttemptStarted, number: int, outcome: Outcome
    ) -> tuple[Delivery, AttemptFinished]:
        """The delivery after the outcome of an attempt, and the record to write."""
        notification = delivery.notification
        decision = retry.after(
            outcome,
            retry=self._type.retry,
            doubt=self._type.when_in_doubt,
            tries=number,
            in_doubt=notification.in_doubt,
            expires_at=notification.expires_at,
            now=now(),
            jitter=self._jitter,
        )
        if outcome.about_us and decision.state is State.DEFERRED and self.router.elsewhere(delivery):
            decision = replace(decision, state=State.FAILED, due=None, falls_back=True)
        goes_on = decision.falls_back and self.router.following(delivery) is not None
        rejections = delivery.rejections
        if decision.falls_back:
            rejections = (*rejections, f"{begin.provider}: {decision.reason}")
        if decision.state is State.FAILED and len(rejections) > 1:
            decision = replace(decision, reason="; ".join(rejections))
        recorded = replace(decision, state=State.SENDING) if goes_on else decision
        result = replace(
            delivery,
            state=decision.state,
            reason=decision.reason,
            attempt=number,
            due=decision.due,
            provider=begin.provider,
            outcome=outcome,
            refused=goes_on,
            rejections=rejections,
        )
        return result, self.finish(delivery, recorded, begin, outcome)

    def finish(
        self,
        delivery: Delivery,
        decision: Decision,
        begin: AttemptStarted | None = None,
        outcome: Outcome | None = None,
    ) -> AttemptFinished:
        """The record of a decision, with the attempt that led to it, if any."""
        suppress, soft_bounce, recovered = _said_of_address(delivery, decision, begin, outcome)
        return AttemptFinished(
            notification_id=delivery.notification.id,
            batch=self.batch,
            decision=decision,
            step=_comes_back_at(delivery, outcome) if decision.state is State.DEFERRED else delivery.step,
            attempt=begin.id if begin else None,
            outcome=outcome,
            digest=self._type.digest,
            suppress=suppress,
            soft_bounce=soft_bounce,
            recovered=recovered,
        )

    def defer(self, delivery: Delivery, reason: str, at_least: timedelta | None = None) -> Decision:
        """The decision to defer the delivery by the type's retry policy, and by `at_least`."""
        notification, moment = delivery.notification, now()
        tries = notification.tries + 1
        due = retry.due_again(self._type.retry, tries, self._jitter, moment, at_least=at_least)
        return deferred(delivery, reason, due, moment)

    async def settle(self, decided: Sequence[tuple[Delivery, Decision]]) -> list[Delivery]:
        """Write decisions that needed no attempt. A delivery that moves on to the next step of its route
        stays with this run: nothing is written for it yet."""
        settled: list[Delivery] = []
        finishes: list[AttemptFinished] = []
        for delivery, decision in decided:
            goes_on = decision.falls_back and self.router.following(delivery) is not None
            rejections = (
                (*delivery.rejections, decision.reason) if decision.falls_back else delivery.rejections
            )
            reason = "; ".join(rejections) if decision.falls_back else decision.reason
            settled.append(
                replace(
                    delivery,
                    state=decision.state,
                    reason=reason,
                    attempt=_attempts(delivery, decision),
                    due=decision.due,
                    refused=goes_on,
                    rejections=rejections,
                )
            )
            if not goes_on:
                finishes.append(self.finish(delivery, replace(decision, reason=reason)))
        await self.recorder.finish_all(finishes)
        return settled


def _said_of_address(
    delivery: Delivery, decision: Decision, begin: AttemptStarted | None, outcome: Outcome | None
) -> tuple[Suppression | None, str, str]:
    """What the outcome of a mail says of its address: that it is dead, that it did not take the notification
    until it ended, and that it took it, though it had not taken others."""
    if begin is None or outcome is None or begin.channel != "email":
        return None, "", ""
    address = delivery.rendered.messages[begin.channel].address
    if outcome.verdict is Verdict.ACCEPTED:
        return None, "", address if delivery.notification.soft_bounced else ""
    if no_such_mailbox(outcome):
        evidence = mask_in(f"{begin.provider}: {outcome.said}")[:EVIDENCE_KEPT]
        return Suppression(address=address, cause=Cause.HARD_BOUNCE, evidence=evidence), "", ""
    ended = decision.state in (State.FAILED, State.EXPIRED)
    return None, address if ended and not_taken(outcome) else "", ""


def _attempts(delivery: Delivery, decision: Decision) -> int:
    """The attempts of a delivery after a decision without an attempt: a deferral counts as one."""
    made = max(delivery.attempt, delivery.notification.tries)
    return made + 1 if decision.state is State.DEFERRED else made


def _comes_back_at(delivery: Delivery, outcome: Outcome | None) -> int:
    """The step of the next try: the current step, or the first of the steps that refused us in a row."""
    last = outcome or delivery.outcome
    if last is None or not last.about_us or delivery.notification.in_doubt:
        return delivery.step
    return delivery.notification.step if delivery.last_no is None else delivery.last_no


def deferred(delivery: Delivery, reason: str, due: datetime, moment: datetime) -> Decision:
    """The decision to defer the delivery until `due`, if its deadline leaves the time."""
    notification = delivery.notification
    return retry.defer(
        reason, due=due, expires_at=notification.expires_at, now=moment, in_doubt=notification.in_doubt
    )
