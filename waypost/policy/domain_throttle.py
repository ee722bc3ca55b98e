"""An adaptive rate for each recipient domain. Pure.

A domain that defers gets half the rate, and no mail during the wait that it named (LONGEST_PAUSE at most).
Each message that it then takes raises the rate slowly. Domains that never defer are not stored.

Urgent messages are spaced only from each other, not from the other lanes, which leave them the next slot.
During a pause caused by another lane, one urgent message probes the domain. If it is taken, the pause ends;
if it is deferred, the pause holds for urgent messages too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from waypost.model.outcome import Outcome, Phase, Verdict
from waypost.model.priority import Priority
from waypost.policy.redaction.quoted_message import without_addresses

SHORTEST = 0.05  # seconds between two messages to a domain, once it has deferred
LONGEST = 60.0
LONGEST_PAUSE = 600.0  # for the domain, whatever wait a server names; the message itself waits as named
GROWTH = 0.9  # the interval's factor after each message taken
SLOW_DOWN = frozenset({421, 450, 451, 452, 454})  # RFC 5321, section 4.2.3; 454: RFC 3207, RFC 4954
MOST_DOMAINS = 10_000


PROBE = 15.0  # seconds until another urgent message may probe, if the first has no outcome


@dataclass(slots=True)
class _Domain:
    """next_at: when the next message may go. urgent_at: when the next urgent one may. paused_until: the end
    of the pause that the domain asked for."""

    interval: float = 0.0
    next_at: float = 0.0
    urgent_at: float = 0.0
    paused_until: float = 0.0


@dataclass(slots=True)
class DomainThrottle:
    """One provider's rates for all domains. Every moment is in seconds of a monotonic clock."""

    _domains: dict[str, _Domain] = field(default_factory=dict[str, _Domain])

    def next_allowed_at(self, domain: str, priority: Priority = Priority.NORMAL) -> float:
        """When the next message of a lane may go to `domain`; 0 for a domain that never deferred."""
        known = self._domains.get(domain)
        if known is None:
            return 0.0
        return known.urgent_at if priority is Priority.URGENT else known.next_at

    def record_send(self, domain: str, moment: float, priority: Priority = Priority.NORMAL) -> None:
        """Record that a message goes to `domain` now."""
        known = self._domains.get(domain)
        if known is None:
            return
        if priority is not Priority.URGENT:
            known.next_at = max(known.next_at, moment + known.interval)
            return
        probes = moment < known.paused_until
        known.urgent_at = moment + (max(known.interval, PROBE) if probes else known.interval)
        known.next_at = max(known.next_at, moment + 2 * known.interval)  # the slot before is for urgent ones

    def record_outcome(
        self, domain: str, outcome: Outcome, moment: float, priority: Priority = Priority.NORMAL
    ) -> None:
        """Slow down for a domain that defers; speed up a little for a domain that accepts."""
        urgent = priority is Priority.URGENT
        if is_throttling_us(outcome):
            known = self._kept(domain)
            known.interval = min(max(known.interval * 2, SHORTEST), LONGEST)
            pause = min(outcome.wait.total_seconds(), LONGEST_PAUSE) if outcome.wait else known.interval
            known.paused_until = max(known.paused_until, moment + pause)
            known.next_at = max(known.next_at, known.paused_until)
            if urgent:
                known.urgent_at = known.paused_until
        elif outcome.verdict is Verdict.ACCEPTED and (known := self._domains.get(domain)):
            known.interval *= GROWTH
            if urgent and moment < known.paused_until:
                known.paused_until = moment
                known.next_at = known.urgent_at = moment + known.interval
            if known.interval < SHORTEST / 2:
                del self._domains[domain]

    def slowed(self) -> dict[str, float]:
        """The domains that get less mail than we could send, with the seconds between two messages."""
        return {
            domain: known.interval for domain, known in self._domains.items() if known.interval >= SHORTEST
        }

    def _kept(self, domain: str) -> _Domain:
        if domain not in self._domains and len(self._domains) >= MOST_DOMAINS:
            del self._domains[next(iter(self._domains))]
        return self._domains.setdefault(domain, _Domain())


def is_throttling_us(outcome: Outcome) -> bool:
    """Whether a server deferred a message because of our volume: not because of a recipient (RFC 3463 gives
    4.1 and 4.2 to addresses and mailboxes), nor by greylisting, which defers each recipient's first."""
    return (
        outcome.verdict is Verdict.DEFERRED
        and outcome.code in SLOW_DOWN
        and outcome.phase is not Phase.CONNECT
        and not (outcome.enhanced or "").startswith(("4.1.", "4.2."))
        and not _GREYLIST.search(without_addresses(outcome.words))
    )


_GREYLIST = re.compile(r"gr[ea]y-?list", re.I)
