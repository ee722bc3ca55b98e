"""The steps a type's route takes through the providers there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, TypeVar
from uuid import UUID


class Routable(Protocol):
    """What a route names: a provider by its name, or all providers of its kind."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...


R = TypeVar("R", bound=Routable)

KINDS = ("email", "sms", "chat", "push", "webhook")  # those that need no provider to name them


def steps(route: Sequence[str], available: Sequence[R]) -> list[tuple[str, R]]:
    """The ways a type's route offers, in order: every provider of each kind it names, or the one that it
    names too (`email:ses`).

    An Apprise URL (kind "*") serves any kind but mail, once.
    """
    taken: list[tuple[str, R]] = []
    for word in route:
        kind, _, name = word.partition(":")
        for channel in available:
            fits = channel.kind == kind or (channel.kind == "*" and kind != "email")
            if fits and name in ("", channel.name) and channel not in (used for _, used in taken):
                taken.append((kind, channel))
    return taken


def unknown_words(route: Sequence[str], available: Sequence[Routable]) -> list[str]:
    """Of a route, each kind that is neither usual nor a provider's, and each provider that there is not."""
    found: list[str] = []
    for word in route:
        kind, _, name = word.partition(":")
        if kind not in KINDS and all(channel.kind != kind for channel in available):
            found.append(f"{kind}, a kind that no provider serves (usual are {', '.join(KINDS)})")
        elif name and all(channel.name != name for channel in available):
            found.append(f"{word}, and no provider is called {name}")
    return found


def in_turn(found: Sequence[tuple[str, R]], weights: Mapping[str, int], id: UUID) -> Sequence[tuple[str, R]]:
    """The steps as the notification `id` takes them: where providers of a kind have weights, each comes
    first for its share of notifications, and for the same ones whenever it is asked (weighted rendezvous
    hashing), so that a step's number means the same provider at every attempt."""
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
    """An exponential draw of rate `weight`: of several, each is the smallest as often as its weight says."""
    drawn = int.from_bytes(blake2b(name.encode(), digest_size=8, key=id.bytes).digest())
    return -math.log((drawn + 1) / (2**64 + 1)) / weight


def why_unreached(route: Sequence[str], reached: Sequence[str], served: Sequence[str]) -> str:
    """Why a recipient who has an address for the kinds `reached` cannot be sent to while only the kinds
    `served` have a provider, and what would change that."""
    lacking = [kind for kind in route if kind not in reached]
    unserved = [kind for kind in route if kind in reached and kind not in served]
    if not unserved:
        return "the provider it was to go to next is there no more: see `waypost doctor`"
    settings = " and ".join(dict.fromkeys(map(_setting, unserved)))
    without = f"the recipient has no address for {' or '.join(lacking)}, and " if lacking else ""
    return (
        f"{without}there is no provider for {' or '.join(unserved)}: set {settings}, or save a provider block"
        " in Prefect"
    )


def _setting(kind: str) -> str:
    return "WAYPOST_SMTP_URL" if kind == "email" else "WAYPOST_FALLBACK_URL"
