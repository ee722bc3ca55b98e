"""Turns a type's route into steps through the available providers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, TypeVar
from uuid import UUID


class Routable(Protocol):
    """A provider, as a route names it: by its name, or as one of all providers of its kind."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...


R = TypeVar("R", bound=Routable)

KINDS = ("email", "sms", "chat", "push", "webhook")  # kinds that a route may name without a provider


def steps(
    route: Sequence[str], available: Sequence[R], of_brand: Mapping[str, Sequence[str]] = {}
) -> list[tuple[str, R]]:
    """The steps of a route, in order: for each kind, every provider of that kind, or only the provider that
    the route names (`email:ses`).

    An Apprise URL (kind "*") serves any kind except email, and is used once. of_brand: for some kinds, the
    names of the only providers that messages of a brand may use, the first to try first.
    """
    taken: list[tuple[str, R]] = []
    for word in route:
        kind, _, name = word.partition(":")
        for channel in _allowed(kind, available, of_brand):
            fits = channel.kind == kind or (channel.kind == "*" and kind != "email")
            if fits and name in ("", channel.name) and channel not in (used for _, used in taken):
                taken.append((kind, channel))
    return taken


def _allowed(kind: str, available: Sequence[R], of_brand: Mapping[str, Sequence[str]]) -> Sequence[R]:
    if kind not in of_brand:
        return available
    return [channel for name in of_brand[kind] for channel in available if channel.name == name]


def unknown_words(route: Sequence[str], available: Sequence[Routable]) -> list[str]:
    """The faults of a route: each kind neither in KINDS nor of a provider, and each unknown provider."""
    found: list[str] = []
    for word in route:
        kind, _, name = word.partition(":")
        if kind not in KINDS and all(channel.kind != kind for channel in available):
            found.append(f"{kind}, but no provider serves this kind (usual kinds are {', '.join(KINDS)})")
        elif name and all(channel.name != name for channel in available):
            found.append(f"{word}, but no provider is called {name}")
    return found


def in_turn(found: Sequence[tuple[str, R]], weights: Mapping[str, int], id: UUID) -> Sequence[tuple[str, R]]:
    """The steps in the order that the notification `id` takes them. Of a kind's providers with weights, each
    comes first for its share of notifications. The order is the same for the same `id`, providers and weights
    (weighted rendezvous hashing), so that a step's number means the same provider at every attempt."""
    if len(weights) < 2:
        return found
    weighted: dict[str, list[tuple[str, R]]] = {}
    for step in found:
        if step[1].name in weights:
            weighted.setdefault(step[0], []).append(step)
    if all(len(sharing) < 2 for sharing in weighted.values()):
        return found
    turns = {
        kind: iter(sorted(sharing, key=lambda step: _draw(weights[step[1].name], step[1].name, id)))
        for kind, sharing in weighted.items()
    }
    return [next(turns[step[0]]) if step[1].name in weights else step for step in found]


def _draw(weight: int, name: str, id: UUID) -> float:
    """An exponential draw of rate `weight`: each provider's is the smallest in proportion to its weight."""
    drawn = int.from_bytes(blake2b(name.encode(), digest_size=8, key=id.bytes).digest())
    return -math.log((drawn + 1) / (2**64 + 1)) / weight


def why_unreached(
    route: Sequence[str], reached: Sequence[str], served: Sequence[str], limited: str = ""
) -> str:
    """Why no step reaches a recipient, and how to fix that. reached: the kinds that the recipient has an
    address for. served: the kinds that have a provider. limited: the brand, if it names its providers."""
    lacking = [kind for kind in route if kind not in reached]
    unserved = [kind for kind in route if kind in reached and kind not in served]
    if not unserved:
        return "its next provider no longer exists; see `waypost doctor`"
    settings = " and ".join(dict.fromkeys(map(_setting, unserved)))
    if limited:
        return (
            f"the brand {limited} has no provider for {' or '.join(unserved)} that exists: correct its "
            "providers in WAYPOST_BRANDS"
        )
    without = f"the recipient has no address for {' or '.join(lacking)}, and " if lacking else ""
    return (
        f"{without}there is no provider for {' or '.join(unserved)}: set {settings}, or save a provider block"
        " in Prefect"
    )


def _setting(kind: str) -> str:
    return "WAYPOST_SMTP_URL" if kind == "email" else "WAYPOST_FALLBACK_URL"
