"""Posts the due events of one webhook, batch by batch, until none is left or the webhook fails."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from waypost.gateway.webhooks.post import IN_FLIGHT, POST_SECONDS, post, posts_to
from waypost.gateway.webhooks.retry import again, released
from waypost.ledger import Ledger
from waypost.ledger.records import webhook_outbox, webhooks
from waypost.ledger.records.webhook_outbox import Again, Claim, Event
from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.net.signed_http import SignedPosts
from waypost.policy import classify
from waypost.policy.circuit_breaker import CircuitBreaker, CircuitState
from waypost.system.clock import now
from waypost.system.isolation import ItemFailed, isolated
from waypost.telemetry.metrics import POSTS

A_BATCH = 100
A_TURN = 10  # batches
BEGINS_WITHIN = 20.0  # seconds after a claim in which a post may begin
LEASE = timedelta(seconds=BEGINS_WITHIN + POST_SECONDS + 10)
LONGEST_QUIET = timedelta(minutes=10)  # pause of a webhook, even if a response asks for more
GONE = 410
logger = logging.getLogger("waypost.webhooks")


@dataclass(slots=True)
class EndpointState:
    """The recent health of a webhook. Moments are of a monotonic clock."""

    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    quiet_until: float = 0.0

    def rests(self, moment: float) -> bool:
        """Whether the webhook gets no posts for now."""
        return moment < self.quiet_until or self.breaker.is_open(moment)

    def fails(self, moment: float) -> bool:
        """Whether the rest of a batch should wait."""
        return moment < self.quiet_until or self.breaker.state is CircuitState.OPEN


@dataclass(frozen=True, slots=True)
class CourierContext:
    """The dependencies that all couriers share."""

    ledger: Ledger
    secret_key: bytes = field(repr=False)
    allow_private: bool


class Courier:
    """Posts the events of one webhook while events are due."""

    def __init__(self, context: CourierContext, id: UUID, endpoint: EndpointState) -> None:
        self._context = context
        self._id = id
        self._endpoint = endpoint
        self._breaker = endpoint.breaker
        self._stopping = False
        self._gone = False
        self._posting: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Run until nothing is due, the webhook fails, `stop` is called, or A_TURN batches are done."""
        try:
            for _ in range(A_TURN):
                claim = await self._claim()
                if claim is None:
                    return
                await self._deliver(claim)
        finally:
            self._breaker.release_probe()

    async def _claim(self) -> Claim | None:
        """Claim the next events: only one if the webhook failed, to probe whether it works again."""
        if self._stopping or self._gone or self._endpoint.rests(_clock()):
            return None
        probes = self._breaker.state is not CircuitState.CLOSED
        if probes and not self._breaker.allows(_clock()):
            return None
        context, most = self._context, 1 if probes else A_BATCH
        return await webhook_outbox.claim(context.ledger, context.secret_key, self._id, most, LEASE)

    def stop(self) -> None:
        """Begin no other post."""
        self._stopping = True

    def abort(self) -> None:
        """Cancel the posts in progress. An event that is posted twice has the same `webhook-id`."""
        self._stopping = True
        for task in self._posting:
            task.cancel()

    async def _deliver(self, claim: Claim) -> None:
        """Post the events of a claim, and settle it in one transaction."""
        try:
            context = self._context
            posts = posts_to(claim.webhook, context.secret_key, context.allow_private)
        except ValueError as error:
            outcome = classify.lost(Phase.CONNECT, str(error))
            self._note(claim, outcome)
            await self._settle(claim, {claim.events[0].id: outcome})
            return
        outcomes: dict[int, Outcome] = {}
        queue, until = iter(claim.events), _clock() + BEGINS_WITHIN
        self._posting = [
            asyncio.create_task(self._tell(posts, claim, queue, until, outcomes)) for _ in range(IN_FLIGHT)
        ]
        try:
            ended = await asyncio.gather(*self._posting, return_exceptions=True)
        finally:
            await posts.close()
        await self._settle(claim, outcomes)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _tell(
        self,
        posts: SignedPosts,
        claim: Claim,
        queue: Iterator[Event],
        until: float,
        outcomes: dict[int, Outcome],
    ) -> None:
        """Post events from `queue` until it is empty, `until` is past, or the courier or webhook stops."""
        while _clock() < until and not (self._stopping or self._gone or self._endpoint.fails(_clock())):
            event = next(queue, None)
            if event is None:
                return
            try:
                with isolated("posting to a webhook", item=event.notification_id):
                    outcome = await post(posts, claim.webhook, event)
            except ItemFailed as failed:  # the failure says nothing about the webhook
                outcomes[event.id] = classify.lost(Phase.CONNECT, str(failed))
                continue
            outcomes[event.id] = outcome
            self._note(claim, outcome)

    def _note(self, claim: Claim, outcome: Outcome) -> None:
        """Update the metrics and the webhook's health from an outcome."""
        breaker, before = self._breaker, self._breaker.state
        if outcome.verdict is Verdict.ACCEPTED:
            POSTS.labels("told").inc()
            breaker.record_outcome(outcome, _clock())
            if before is not CircuitState.CLOSED and breaker.state is CircuitState.CLOSED:
                logger.info("webhook %s responds again", claim.webhook.id)
            return
        POSTS.labels("failed").inc()
        self._gone = self._gone or outcome.code == GONE
        breaker.record_failure(outcome.words, _clock())
        if outcome.wait is not None:
            quiet = min(outcome.wait, LONGEST_QUIET).total_seconds()
            self._endpoint.quiet_until = max(self._endpoint.quiet_until, _clock() + quiet)
        if before is CircuitState.CLOSED and breaker.state is CircuitState.OPEN:
            logger.warning(
                "webhook %s (client %s): circuit %s",
                claim.webhook.id,
                claim.webhook.client,
                breaker.describe(_clock()),
            )

    async def _settle(self, claim: Claim, outcomes: Mapping[int, Outcome]) -> None:
        if self._gone:
            logger.warning("webhook %s: responded 410 Gone; it receives no more events", claim.webhook.id)
            await webhooks.mark_gone(self._context.ledger, claim.webhook.id)
            return
        over: list[int] = []
        later: list[Again] = []
        for event in claim.events:
            fate = _fate(claim, event, outcomes.get(event.id))
            if fate is None:
                over.append(event.id)
            else:
                later.append(fate)
        await webhook_outbox.settle(self._context.ledger, claim, over, later)


def _fate(claim: Claim, event: Event, outcome: Outcome | None) -> Again | None:
    """When to post an event again; None if it was delivered or is given up."""
    if outcome is None:
        return released(event)
    if outcome.verdict is Verdict.ACCEPTED:
        return None
    found = again(event, outcome.wait, now(), random.random())
    if found is None:
        POSTS.labels("given up").inc()
        logger.warning(
            "webhook %s: event of notification %s (%s) not delivered after %d attempts, the last: %s",
            claim.webhook.id,
            event.notification_id,
            event.state,
            event.tries + 1,
            outcome.words,
        )
    return found


def _clock() -> float:
    return asyncio.get_running_loop().time()
