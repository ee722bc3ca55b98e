"""The providers of a sending process: those of the settings and those added since, each with its state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol
from weakref import WeakSet

from waypost.channels.channel import Channel
from waypost.config.settings import Settings
from waypost.delivery.added_providers import AddedProviders
from waypost.delivery.provider_state import ProviderState
from waypost.delivery.rate_limiter import RateLimiter
from waypost.ledger import Ledger
from waypost.ledger.records import provider_rates
from waypost.model.provider import PLAIN, Provider


class RouteUser(Protocol):
    """A run that is sending, as a user of channels."""

    def goes_over(self, channel: Channel) -> bool:
        """Whether a message of the run may still be offered to `channel`."""
        ...


class ProviderSet:
    """channels: in the order of their steps. terms: by the provider's name."""

    def __init__(self, settings: Settings, channels: list[Channel], ledger: Ledger) -> None:
        """channels: those of the settings' own providers. ledger: counts the rates of all workers."""
        self.channels = channels
        self.terms: Mapping[str, Provider] = settings.providers
        self._own = channels
        self._own_terms = settings.providers
        self._added = AddedProviders(settings, {channel.name for channel in channels})
        self._states: dict[str, ProviderState] = {}
        self._users: WeakSet[RouteUser] = WeakSet()
        self._ledger = ledger

    def add(self, named: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Use these providers, and no others, besides those of the settings; see AddedProviders.replace_with.
        A run that is under way keeps the providers it began with. Returns the faults by provider name."""
        faults = self._added.replace_with(named)
        before, self.terms = self.terms, {**self._own_terms, **self._added.terms}
        self.channels = [*self._own, *self._added.channels]
        for name in [name for name in self._states if self.terms.get(name) != before.get(name)]:
            del self._states[name]
        return faults

    def used_by(self, user: RouteUser) -> None:
        """Keep the channels that `user` may still use open, until it is gone."""
        self._users.add(user)

    async def close_unused(self) -> None:
        """Close the channels of providers that were changed or deleted, once no run uses them. Never
        raises."""
        users = list(self._users)
        unused = self._added.take_unused(lambda channel: not any(user.goes_over(channel) for user in users))
        await asyncio.gather(*(channel.close() for channel in unused))

    def state(self, provider: str) -> ProviderState:
        """This process's state of a provider: its circuit, throttle and rate limit."""
        if provider not in self._states:
            per_second = self.terms.get(provider, PLAIN).rate
            rate = None
            if per_second is not None:
                rate = RateLimiter(per_second, provider_rates.counted(self._ledger, provider, per_second))
            self._states[provider] = ProviderState(provider, rate_limiter=rate)
        return self._states[provider]

    @property
    def idle(self) -> bool:
        """Whether no message is on its way to a provider, and the outcome of each is written."""
        return all(channel.permits.idle for channel in self._all())

    async def close(self) -> None:
        """Close every channel."""
        await asyncio.gather(*(channel.close() for channel in self._all()))

    def _all(self) -> list[Channel]:
        return [*self.channels, *self._added.left]
