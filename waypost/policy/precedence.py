"""Whether a notification may be sent to its recipient, when, and through which channels.

One table decides, the first rule that applies:

1. mandatory: a mandatory category is sent, whatever the rules below say.
2. suppression: an address that must not be written to is left out (suppression.py).
3. recipient: what the recipient chose for the category.
4. audience: what the client chose for all of its recipients.
5. default: what the installation says of the category (WAYPOST_CATEGORIES).

What may be sent may still wait: for the cadence that the same rule names, and for the end of quiet hours
(quiet_hours.py).
"""

from __future__ import annotations

from datetime import datetime

from waypost.model.cadence import Cadence, Every
from waypost.model.category import CategoryTerms
from waypost.model.permission import Circumstances, Preference, Rule, Verdict
from waypost.policy import suppression
from waypost.policy.quiet_hours import held_by_quiet_hours


def decide(found: Circumstances, terms: CategoryTerms, moment: datetime) -> Verdict:
    """The decision for one notification at `moment`."""
    if terms.mandatory:
        return Verdict(Rule.MANDATORY, tuple(found.kinds), why=suppression.overridden(found))
    if (stopped := suppression.stops(found)) is not None:
        return stopped
    left = suppression.left(found)
    rule, chosen = _chosen(found, terms)
    if chosen.cadence.every is Every.NEVER:
        return Verdict(rule, why=f"{found.category} is turned off")
    wanted = left if chosen.channels is None else tuple(kind for kind in left if kind in chosen.channels)
    if left and not wanted:
        return Verdict(rule, why=f"{found.category} is not wanted by {', '.join(left)}")
    if terms.confirm and not (found.recipient and found.recipient.confirmed):
        return Verdict(Rule.CONSENT, why=f"{found.category} is not confirmed by the recipient")
    if terms.at_most is not None and found.sent >= terms.at_most.count:
        days = f"{terms.at_most.days:g}"
        return Verdict(Rule.CAP, why=f"{found.sent} of {found.category} were sent within {days} days")
    return _in_time(found, terms, moment, Verdict(rule, wanted), chosen.cadence)


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
    return held_by_quiet_hours(found, terms, moment, allowed) or allowed
