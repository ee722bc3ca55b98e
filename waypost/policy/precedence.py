"""Whether a notification may be sent to its recipient, when, and through which channels.

One table decides, the first rule that applies:

1. mandatory: a mandatory category is sent, whatever the rules below say.
2. suppression: an address that must not be written to is left out.
3. recipient: what the recipient chose for the category.
4. audience: what the client chose for all of its recipients.
5. default: what the installation says of the category (WAYPOST_CATEGORIES).

What may be sent may still wait: for the cadence that the same rule names, and for the end of quiet hours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from waypost.model.cadence import AT_ONCE, Cadence, Every
from waypost.model.category import Category, CategoryTerms
from waypost.model.suppression import Suppressed
from waypost.policy.quiet_hours import quiet_until


class Rule(StrEnum):
    """What decided. The names are kept with each attempt, and shown by `waypost explain`."""

    MANDATORY = "mandatory"
    SUPPRESSION = "suppression"
    RECIPIENT = "recipient"
    AUDIENCE = "audience"
    DEFAULT = "default"
    CONSENT = "consent"
    CAP = "frequency cap"
    QUIET_HOURS = "quiet hours"


@dataclass(frozen=True, slots=True)
class Preference:
    """What a recipient, or an audience, chose for a category. channels: the kinds they want; None for all.
    confirmed: whether a double opt-in was confirmed. evidence: how the choice came to be, for people; it
    decides nothing."""

    cadence: Cadence = AT_ONCE
    channels: tuple[str, ...] | None = None
    confirmed: bool = False
    evidence: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of one notification as its run takes it up.

    kinds: of its route, those that it may use and that reach its recipient. suppressed: by kind, the
    suppressions of the address there. sent: how many of its category the recipient was sent within the cap's
    span. urgent: its lane; it does not wait.
    """

    category: Category
    kinds: Sequence[str]
    accepted_at: datetime
    zone: ZoneInfo
    urgent: bool = False
    suppressed: Mapping[str, Collection[Suppressed]] = field(
        default_factory=dict[str, Collection[Suppressed]]
    )
    recipient: Preference | None = None
    audience: Preference | None = None
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """rule: what decided. kinds: the channels it may use; none: it is suppressed. until: it waits until then.
    why: for people, as the end of a sentence; empty where the rule says it all."""

    rule: Rule
    kinds: tuple[str, ...] = ()
    until: datetime | None = None
    why: str = ""

    @property
    def sends(self) -> bool:
        return bool(self.kinds)


def decide(found: Circumstances, terms: CategoryTerms, moment: datetime) -> Verdict:
    """The decision for one notification at `moment`."""
    kinds = tuple(found.kinds)
    if terms.mandatory:
        stopped = [one for kind in kinds for one in found.suppressed.get(kind, ())]
        return Verdict(Rule.MANDATORY, kinds, why=f"although suppressed: {stopped[0]}" if stopped else "")
    left = tuple(kind for kind in kinds if not found.suppressed.get(kind))
    if kinds and not left:
        return Verdict(Rule.SUPPRESSION, why=str(next(iter(found.suppressed[kinds[0]]))))
    rule, chosen = _chosen(found, terms)
    if chosen.cadence.every is Every.NEVER:
        return Verdict(rule, why=f"{found.category} is turned off")
    wanted = left if chosen.channels is None else tuple(kind for kind in left if kind in chosen.channels)
    if kinds and not wanted:
        return Verdict(rule, why=f"{found.category} is not wanted by {', '.join(left)}")
    if terms.confirm and not (found.recipient and found.recipient.confirmed):
        return Verdict(Rule.CONSENT, why=f"{found.category} is not confirmed by the recipient")
    if terms.at_most is not None and found.sent >= terms.at_most.count:
        days = f"{terms.at_most.days:g}"
        return Verdict(Rule.CAP, why=f"{found.sent} of {found.category} were sent within {days} days")
    return _in_time(found, terms, moment, Verdict(rule, wanted or kinds), chosen.cadence)


def _chosen(found: Circumstances, terms: CategoryTerms) -> tuple[Rule, Preference]:
    if found.recipient is not None:
        return Rule.RECIPIENT, found.recipient
    if found.audience is not None:
        return Rule.AUDIENCE, found.audience
    return Rule.DEFAULT, Preference(terms.cadence, tuple(terms.channels) if terms.channels else None)


def _in_time(
    found: Circumstances, terms: CategoryTerms, moment: datetime, allowed: Verdict, cadence: Cadence
) -> Verdict:
    """`allowed`, at once or later. What is urgent waits for nothing."""
    if found.urgent:
        return allowed
    due = cadence.first_after(found.accepted_at, found.zone)
    if due > moment:
        return Verdict(allowed.rule, allowed.kinds, due, f"{found.category} is sent {cadence}")
    ends = quiet_until(terms.quiet_hours, moment, found.zone) if terms.quiet_hours else None
    if ends is not None:
        why = f"quiet hours are {terms.quiet_hours} in {found.zone.key}"
        return Verdict(Rule.QUIET_HOURS, allowed.kinds, ends, why)
    return allowed
