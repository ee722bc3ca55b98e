"""Chooses the provider that each notification of a run goes to next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from waypost.channels.channel import Channel, Step
from waypost.delivery.provider_set import ProviderSet
from waypost.delivery.provider_state import ProviderState
from waypost.model.notification import Delivery, Rendered
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.policy.route_steps import in_turn, steps, why_unreached


@dataclass(slots=True, eq=False, weakref_slot=True)
class Router:
    """The numbered steps for notifications of one type and priority."""

    providers: ProviderSet
    type: NotificationType
    priority: Priority
    _route: list[Step] = field(init=False)
    _weights: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        terms = self.providers.terms
        allowed = [
            one
            for one in self.providers.channels
            if one.name not in terms or self.priority in terms[one.name].lanes
        ]
        self._route = steps(self.type.route, allowed)
        self._weights = {name: one.weight for name, one in terms.items() if one.weight}
        self.providers.users.add(self)

    def goes_over(self, channel: Channel) -> bool:
        """Whether a message of this run may still be offered to `channel`."""
        return any(one is channel for _, one in self._route)

    def of(self, rendered: Rendered) -> Sequence[Step]:
        """The steps in the order that this notification takes them."""
        return in_turn(self._route, self._weights, rendered.notification.id)

    def step(self, delivery: Delivery) -> Step:
        """The delivery's current step."""
        return self.of(delivery.rendered)[delivery.step]

    def first(self, rendered: Rendered, number: int = 0) -> int | None:
        """The first step at or after `number` that reaches this recipient, or None."""
        way = self.of(rendered)
        return next((n for n in range(number, len(way)) if way[n][0] in rendered.messages), None)

    def following(self, delivery: Delivery) -> int | None:
        """The next step after the current one that reaches the recipient, or None."""
        return self.first(delivery.rendered, delivery.step + 1)

    def elsewhere(self, delivery: Delivery) -> bool:
        """Whether the next step is another provider of the same kind, for a delivery whose provider refused
        us. False for a delivery in doubt, which stays with its provider."""
        following = None if delivery.notification.in_doubt else self.following(delivery)
        if following is None:
            return False
        way = self.of(delivery.rendered)
        return way[following][0] == way[delivery.step][0]

    def first_open(self, rendered: Rendered, number: int) -> int | None:
        """Like `first`, but skips a provider whose circuit is open for another of its kind: nothing was sent
        through it. A delivery in doubt stays with the provider that may have taken it."""
        first = self.first(rendered, number)
        if first is None or rendered.notification.in_doubt:
            return first
        way = self.of(rendered)
        same = (n for n in range(first, len(way)) if way[n][0] == way[first][0])
        client = rendered.notification.client
        return next((n for n in same if not self.provider_state(way[n][1].name).is_open(client)), first)

    def begins(self, delivery: Delivery, provider: str | None) -> int | None:
        """The delivery's first step: at `provider` if given, otherwise by its route. None if it has none."""
        rendered = delivery.rendered
        if provider is None:
            return self.first_open(rendered, delivery.notification.step)
        way = enumerate(self.of(rendered))
        return next((n for n, (kind, one) in way if one.name == provider and kind in rendered.messages), None)

    def why_none(self, delivery: Delivery, provider: str | None) -> str:
        """The reason why `begins` found no step."""
        if provider is not None:
            return f"{provider} may have delivered it, but no longer serves {self.type.name}"
        address = delivery.notification.recipient.address
        kinds = self.type.kinds_of(delivery.notification.channels)
        reached = [kind for kind in kinds if address(kind)]
        return why_unreached(kinds, reached, [kind for kind, _ in self._route])

    def provider_state(self, provider: str) -> ProviderState:
        return self.providers.state(provider)
