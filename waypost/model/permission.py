"""Whether a notification may be sent to its recipient: what is known, and what is decided."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from waypost.model.cadence import AT_ONCE, Cadence
from waypost.model.category import Category
from waypost.model.states import State
from waypost.model.suppression import Suppressed


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

    @property
    def reason(self) -> str:
        """The reason of a notification that is suppressed, or waits, by this verdict; see `rule_in`."""
        return f"{self.why} ({self.rule})" if self.why else str(self.rule)


TURNED_OFF = "its category was turned off"  # while it waited; the reason goes on with who did it
_RULE = f"({'|'.join(Rule)})"
_WAITS = rf"(?:(?:{'|'.join(Category)}) is sent |quiet hours are )[^()]*"
_FORMS: Mapping[str, re.Pattern[str]] = {
    State.SUPPRESSED: re.compile(rf".+ \({_RULE}\)", re.DOTALL),
    State.DEFERRED: re.compile(rf"{_WAITS}\({_RULE}\)"),
}


def rule_in(state: str, reason: str) -> Rule | None:
    """The rule by which a notification is suppressed, or waits; None for another state, and for a reason
    without a rule: one that waits for its provider, or was suppressed in another way."""
    if state == State.SUPPRESSED and reason.startswith(TURNED_OFF):
        return Rule.RECIPIENT
    found = form.fullmatch(reason) if (form := _FORMS.get(state)) else None
    return Rule(found[1]) if found else None
