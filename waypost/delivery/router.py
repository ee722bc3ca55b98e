"""The way of a run's notifications: which provider each goes to next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from waypost.channels.channel import Channel, Step
from waypost.delivery.provider_state import ProviderState
from waypost.delivery.runtime import Runtime
from waypost.model.notification import Delivery, Rendered
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.policy.routing import in_turn, steps, why_unreached


@dataclass(slots=True, eq=False, weakref_slot=True)
class Router:
    """The steps there are for notifications of one type and priority, by their number."""

    runtime: Runtime
    type: NotificationType
    priority: Priority
    _route: list[Step] = field(init=False)
    _weights: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        terms = self.runtime.settings.providers
        allowed = [
            one
            for one in self.runtime.channels
            if one.name not in terms or self.priority in terms[one.name].lanes
        ]
        self._route = steps(self.type.route, allowed)
        self._weights = {name: one.weight for name, one in terms.items() if one.weight}
        self.runtime.ways.add(self)

    def goes_over(self, channel: Channel) -> bool:
        """Whether a message of this run may still be offered to `channel`."""
        return any(one is channel for _, one in self._route)

    def of(self, rendered: Rendered) -> Sequence[Step]:
        """The route as this notification takes it."""
        return in_turn(self._route, self._weights, rendered.notification.id)

    def step(self, delivery: Delivery) -> Step:
        """Where it is now."""
        return self.of(delivery.rendered)[delivery.step]

    def first(self, rendered: Rendered, number: int = 0) -> int | None:
        """The next step at or after `number` that this recipient can be reached by, or None."""
        way = self.of(rendered)
        return next((n for n in range(number, len(way)) if way[n][0] in rendered.messages), None)

    def following(self, delivery: Delivery) -> int | None:
        """The step after the one it is at, or None."""
        return self.first(delivery.rendered, delivery.step + 1)

    def elsewhere(self, delivery: Delivery) -> bool:
        """Whether another provider of the same kind comes next, for what this one would not take from us. Not
        for what is in doubt, which stays with its provider."""
        following = None if delivery.notification.in_doubt else self.following(delivery)
        if following is None:
            return False
        way = self.of(delivery.rendered)
        return way[following][0] == way[delivery.step][0]

    def first_open(self, rendered: Rendered, number: int) -> int | None:
        """Like `first`, but a provider whose circuit is open is passed over for another of its kind: nothing
        was sent through it. What is in doubt stays with the provider that may have taken it."""
        first = self.first(rendered, number)
        if first is None or rendered.notification.in_doubt:
            return first
        way = self.of(rendered)
        same = (n for n in range(first, len(way)) if way[n][0] == way[first][0])
        return next((n for n in same if not self.provider_state(way[n][1].name).is_open()), first)

    def begins(self, delivery: Delivery, provider: str | None) -> int | None:
        """Where it goes first: through `provider`, if one is given, and else what its route says."""
        rendered = delivery.rendered
        if provider is None:
            return self.first_open(rendered, delivery.notification.step)
        way = enumerate(self.of(rendered))
        return next((n for n, (kind, one) in way if one.name == provider and kind in rendered.messages), None)

    def why_none(self, delivery: Delivery, provider: str | None) -> str:
        """Why there is no such step."""
        if provider is not None:
            return f"{provider} may have taken it, and is no provider of {self.type.name} now"
        address = delivery.notification.recipient.address
        kinds = self.type.kinds_of(delivery.notification.channels)
        reached = [kind for kind in kinds if address(kind)]
        return why_unreached(kinds, reached, [kind for kind, _ in self._route])

    def provider_state(self, provider: str) -> ProviderState:
        return self.runtime.provider_state(provider)
