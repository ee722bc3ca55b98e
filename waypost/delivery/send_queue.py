"""The queue of deliveries that wait for one provider."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count

from waypost.model.notification import Delivery
from waypost.model.priority import Priority
from waypost.policy.domain_throttle import DomainThrottle


class SendQueue:
    """Deliveries in the order they came, except that those to a domain which asked us to slow down wait
    until its throttle allows. Every moment is in seconds of a monotonic clock."""

    def __init__(
        self, kind: str, members: Iterable[Delivery], throttle: DomainThrottle, priority: Priority
    ) -> None:
        self._kind = kind
        self.priority = priority
        self._throttle = throttle
        self._fresh = deque(members)
        self._delayed: list[tuple[float, int, Delivery]] = []
        self._turns = count()

    def next(self, moment: float) -> Delivery | None:
        """The next delivery that may go now, or None."""
        while self._delayed and self._delayed[0][0] <= moment:
            delivery = heapq.heappop(self._delayed)[2]
            if self._may_go(delivery, moment):
                return delivery
        while self._fresh:
            delivery = self._fresh.popleft()
            if self._may_go(delivery, moment):
                return delivery
        return None

    def _may_go(self, delivery: Delivery, moment: float) -> bool:
        domain = self.domain(delivery)
        at = self._throttle.next_allowed_at(domain, self.priority)
        if at > moment:
            heapq.heappush(self._delayed, (at, next(self._turns), delivery))
            return False
        self._throttle.record_send(domain, moment, self.priority)
        return True

    def domain(self, delivery: Delivery) -> str:
        """The domain a mail goes to; empty for other kinds of message."""
        message = delivery.rendered.messages[self._kind]
        return message.address.rpartition("@")[2] if self._kind == "email" else ""

    def requeue(self, delivery: Delivery) -> None:
        """Put a delivery that could not be sent back at the front."""
        self._fresh.appendleft(delivery)

    def next_at(self) -> float | None:
        """When the first delayed delivery may go; None if no delivery is delayed."""
        return self._delayed[0][0] if self._delayed else None

    def drain_delayed(self) -> list[tuple[float, Delivery]]:
        """Remove and return the delayed deliveries, each with the moment it may go."""
        delayed, self._delayed = self._delayed, []
        ready_at = self._throttle.next_allowed_at
        return [(max(at, ready_at(self.domain(one), self.priority)), one) for at, _, one in delayed]
