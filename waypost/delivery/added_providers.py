"""Providers besides those of the settings, added, changed and removed while a process runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from waypost.channels.channel import Channel
from waypost.channels.removed_provider import RemovedChannel
from waypost.config.settings import Settings
from waypost.delivery.channel_factory import OF_THE_SETTINGS, made
from waypost.model.provider import Provider, ProviderName
from waypost.model.validation_messages import in_words

_NAME: TypeAdapter[str] = TypeAdapter(ProviderName)


class ProviderInUse(NamedTuple):
    """A provider's terms and its channel. Without terms the provider is removed, and only keeps its place."""

    terms: Provider | None
    channel: Channel


class AddedProviders:
    """Providers added at run time, oldest first.

    left: the channels of providers that were changed or removed since; messages may still be under way in
    them. `take_unused` hands them over to be closed.
    """

    def __init__(self, settings: Settings, taken: Collection[str]) -> None:
        """taken: the names of the settings' own providers."""
        self._settings = settings
        self._taken = {*taken, *OF_THE_SETTINGS}
        self._ones: dict[str, ProviderInUse] = {}
        self.left: list[Channel] = []

    @property
    def channels(self) -> list[Channel]:
        return [one.channel for one in self._ones.values()]

    @property
    def terms(self) -> dict[str, Provider]:
        return {name: one.terms for name, one in self._ones.items() if one.terms is not None}

    def replace_with(self, named: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Replace the set by `named`, the terms by name. A faulty provider does not affect the others, and
        keeps its previous terms if it had any. Returns the faults by name, without any secret."""
        faults: dict[str, str] = {}
        for name, terms in named.items():
            try:
                self._take(name, terms)
            except ValueError as error:
                faults[name] = _said(error)
        for name in self._ones.keys() - named.keys():
            self._leave(name)
        return faults

    def take_unused(self, unused: Callable[[Channel], bool]) -> list[Channel]:
        """Remove and return the channels of `left` that are idle and `unused`: the caller closes them."""
        gone = [channel for channel in self.left if channel.permits.idle and unused(channel)]
        self.left = [channel for channel in self.left if channel not in gone]
        return gone

    def _take(self, name: str, given: Mapping[str, Any]) -> None:
        if name in self._taken:
            raise ValueError("a setting already uses that name, and takes precedence")
        if not _is_name(name):
            raise ValueError("a provider's name has at most 41 characters and starts with a letter or digit")
        terms, known = Provider.model_validate(given), self._ones.get(name)
        if known and known.terms == terms:
            return
        now = ProviderInUse(terms, made(name, terms, self._settings))
        if known:
            self.left.append(known.channel)
        self._ones[name] = now

    def _leave(self, name: str) -> None:
        """Remove a provider but keep its place: a run that has begun must find as many steps as before."""
        terms, channel = self._ones[name]
        if terms is not None:
            self.left.append(channel)
            self._ones[name] = ProviderInUse(None, RemovedChannel(name, channel.kind, "it was deleted"))


def _is_name(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _said(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    parts = error.errors(include_input=False, include_url=False)
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, part["loc"])), in_words(part)))) for part in parts
    )
