"""Chooses the provider that each notification of a run goes to next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from waypost.channels.channel import Channel, Step
from waypost.delivery.provider_set import ProviderSet
from waypost.delivery.provider_state import ProviderState
from waypost.model.batch import Batch
from waypost.model.brand import Brand
from waypost.model.category import Category
from waypost.model.notification import Delivery, Notification, Rendered
from waypost.model.notification_type import NotificationType
from waypost.model.priority import Priority
from waypost.policy.route_steps import in_turn, steps, why_unreached

_BARRED = "may not be used for its recipient any more"  # suppressed, or not wanted


class _Route(NamedTuple):
    """The steps of a brand's messages, and the weights of their providers."""

    steps: list[Step]
    weights: dict[str, int]


@dataclass(slots=True, eq=False, weakref_slot=True)
class Router:
    """The numbered steps for notifications of one type and priority. brands: all brands; a brand may name
    the providers of its messages."""

    providers: ProviderSet
    type: NotificationType
    priority: Priority
    brands: Mapping[str, Brand] = field(default_factory=dict[str, Brand])
    _allowed: list[Channel] = field(init=False)
    _widest: list[Step] = field(init=False)
    _routes: dict[str, _Route] = field(init=False, default_factory=dict[str, "_Route"])

    def __post_init__(self) -> None:
        terms = self.providers.terms
        self._allowed = [
            one
            for one in self.providers.channels
            if one.name not in terms or self.priority in terms[one.name].lanes
        ]
        self._widest = steps(self.type.route, self._allowed)
        self.providers.used_by(self)

    @classmethod
    def of(cls, deliveries: Batch[Delivery], providers: ProviderSet, brands: Mapping[str, Brand]) -> Router:
        """The router of a batch, whose members all have the same priority."""
        first = next(iter(deliveries), None)
        priority = first.notification.priority if first else deliveries.type.lane
        return cls(providers, deliveries.type, priority, brands)

    def _brand_route(self, notification: Notification) -> _Route:
        """The route of the notification's brand."""
        name = notification.brand
        found = self._routes.get(name)
        if found is None:
            found = self._route_of(self.brands[name].providers if name in self.brands else {})
            self._routes[name] = found
        return found

    def _route_of(self, of_brand: Mapping[str, Sequence[str]]) -> _Route:
        found = steps(self.type.route, self._allowed, of_brand)
        ordered = {channel.name for kind, channel in found if kind in of_brand}  # by the brand, not by weight
        terms = self.providers.terms.items()
        weights = {name: one.weight for name, one in terms if one.weight and name not in ordered}
        return _Route(found, weights)

    @property
    def security(self) -> bool:
        """Whether the notifications are security mail, which goes first."""
        return self.type.category is Category.SECURITY

    def goes_over(self, channel: Channel) -> bool:
        """Whether a message of this run may still be offered to `channel`."""
        return any(one is channel for _, one in self._widest)

    def route(self, rendered: Rendered) -> Sequence[Step]:
        """The steps in the order that this notification takes them."""
        route = self._brand_route(rendered.notification)
        return in_turn(route.steps, route.weights, rendered.notification.id)

    def step(self, delivery: Delivery) -> Step:
        """The delivery's current step."""
        return self.route(delivery.rendered)[delivery.step]

    def first(self, rendered: Rendered, number: int = 0) -> int | None:
        """The first step at or after `number` that reaches this recipient, or None."""
        route, messages = self.route(rendered), rendered.messages
        for at in range(number, len(route)):  # not a generator: it is asked several times for each message
            if route[at][0] in messages:
                return at
        return None

    def following(self, delivery: Delivery) -> int | None:
        """The next step after the current one that reaches the recipient, or None."""
        return self.first(delivery.rendered, delivery.step + 1)

    def elsewhere(self, delivery: Delivery) -> bool:
        """Whether the next step is another provider of the same kind, for a delivery whose provider refused
        us. False for a delivery in doubt, which stays with its provider."""
        following = None if delivery.notification.in_doubt else self.following(delivery)
        if following is None:
            return False
        route = self.route(delivery.rendered)
        return route[following][0] == route[delivery.step][0]

    def first_open(self, rendered: Rendered, number: int) -> int | None:
        """Like `first`, but skips a provider whose circuit is open for another of its kind: nothing was sent
        through it. A delivery in doubt stays with the provider that may have taken it."""
        first = self.first(rendered, number)
        if first is None or rendered.notification.in_doubt:
            return first
        route = self.route(rendered)
        same = (n for n in range(first, len(route)) if route[n][0] == route[first][0])
        client = rendered.notification.client
        return next((n for n in same if not self.provider_state(route[n][1].name).is_open(client)), first)

    def begins(self, delivery: Delivery, provider: str | None) -> int | None:
        """The delivery's first step: at `provider` if given, otherwise by its route. None if it has none."""
        rendered = delivery.rendered
        if provider is None:
            return self.first_open(rendered, delivery.notification.step)
        numbered = enumerate(self.route(rendered))
        return next(
            (n for n, (kind, channel) in numbered if channel.name == provider and kind in rendered.messages),
            None,
        )

    def why_none(self, delivery: Delivery, provider: str | None) -> str:
        """The reason why `begins` found no step."""
        notification = delivery.notification
        kinds = self.type.kinds_of(notification.channels)
        barred = [kind for kind in self._left(delivery, provider) if kind not in kinds]
        if provider is not None and barred:
            return f"{provider} may have delivered it, but {barred[0]} {_BARRED}"
        if provider is not None:
            return f"{provider} may have delivered it, but no longer serves {self.type.name}"
        if notification.step and barred:
            return f"{' and '.join(barred)} {_BARRED}, and the steps before were refused"
        address, brand = notification.recipient.address, self.brands.get(notification.brand)
        reached = [kind for kind in kinds if address(kind)]
        served = [kind for kind, _ in self._brand_route(notification).steps]
        limited = brand is not None and any(one in brand.providers for one in reached if one not in served)
        return why_unreached(kinds, reached, served, notification.brand if limited else "")

    def _left(self, delivery: Delivery, provider: str | None) -> list[str]:
        """The kinds of the steps that are left: those of `provider` if given, else those of its route."""
        route = self.route(delivery.rendered)
        left = route[delivery.notification.step :] if provider is None else route
        return list(dict.fromkeys(kind for kind, one in left if provider in (None, one.name)))

    def provider_state(self, provider: str) -> ProviderState:
        return self.providers.state(provider)
