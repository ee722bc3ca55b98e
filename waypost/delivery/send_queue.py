"""What waits in line for one provider's places."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count

from waypost.model.notification import Delivery
from waypost.model.priority import Priority
from waypost.policy.domain_throttle import DomainThrottle


class SendQueue:
    """In the order they came, except that those of a domain which asked us to slow down step aside
    until its pace allows. Every moment is a steady clock's seconds."""

    def __init__(
        self, kind: str, members: Iterable[Delivery], pace: DomainThrottle, priority: Priority
    ) -> None:
        self._kind = kind
        self._pace = pace
        self._priority = priority
        self._fresh = deque(members)
        self._aside: list[tuple[float, int, Delivery]] = []
        self._turns = count()

    def next(self, moment: float) -> Delivery | None:
        """Whoever may go now, or None."""
        while self._aside and self._aside[0][0] <= moment:
            delivery = heapq.heappop(self._aside)[2]
            if self._may_go(delivery, moment):
                return delivery
        while self._fresh:
            delivery = self._fresh.popleft()
            if self._may_go(delivery, moment):
                return delivery
        return None

    def _may_go(self, delivery: Delivery, moment: float) -> bool:
        domain = self.domain(delivery)
        at = self._pace.next_allowed_at(domain, self._priority)
        if at > moment:
            heapq.heappush(self._aside, (at, next(self._turns), delivery))
            return False
        self._pace.record_send(domain, moment, self._priority)
        return True

    def domain(self, delivery: Delivery) -> str:
        """The domain a message goes to; empty for what is no mail."""
        message = delivery.rendered.messages[self._kind]
        return message.address.rpartition("@")[2] if self._kind == "email" else ""

    def requeue(self, delivery: Delivery) -> None:
        """It could not go after all, and is the first in line again."""
        self._fresh.appendleft(delivery)

    def next_at(self) -> float | None:
        """When the first of those aside may go; None when there is none."""
        return self._aside[0][0] if self._aside else None

    def drain_delayed(self) -> list[tuple[float, Delivery]]:
        """Those still aside, each with the moment it may go; they are in line no more."""
        aside, self._aside = self._aside, []
        ready_at = self._pace.next_allowed_at
        return [(max(at, ready_at(self.domain(one), self._priority)), one) for at, _, one in aside]
