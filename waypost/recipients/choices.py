"""What a recipient may choose, what applies to them now, and what they change.

The decisions are pure. `standing`, `turn_off` and `save` read and write the ledger.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from waypost.ledger import Ledger
from waypost.ledger.operations.preference_change import Choosing, TypesOf, choose
from waypost.ledger.records import preferences, suppressions
from waypost.ledger.records.suppressions import Which
from waypost.model.cadence import Cadence, Every
from waypost.model.category import Category, CategoryTerms, may_be_turned_off, terms_of
from waypost.model.notification_type import NotificationType
from waypost.model.permission import Preference
from waypost.model.suppression import Cause
from waypost.recipients.links import Link
from waypost.system.clock import now

NEVER = Preference(Cadence(Every.NEVER))
# Who chose.
ONE_CLICK, BUTTON, PAGE = "one click", "unsubscribe page", "preference page"
BY_MAIL, CONFIRMATION = "unsubscribe mail", "confirmation page"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the installation sends: its types and what it says of their categories."""

    types: Sequence[NotificationType]
    terms: Mapping[Category, CategoryTerms]

    @property
    def optional(self) -> list[Category]:
        """The categories that have types and may be turned off."""
        return [one for one in may_be_turned_off(self.terms) if self.names[one]]

    @property
    def always(self) -> list[Category]:
        """The categories that have types and cannot be turned off."""
        return [one for one in Category if self.names[one] and one not in self.optional]

    @property
    def names(self) -> TypesOf:
        """The names of the types of each category."""
        return {
            category: [type.name for type in self.types if type.category is category] for category in Category
        }

    def kinds(self, category: Category) -> tuple[str, ...]:
        """The kinds of channel on the routes of the category's types that its terms allow."""
        every = (kind for type in self.types if type.category is category for kind in type.kinds)
        allowed = terms_of(category, self.terms).channels
        return tuple(kind for kind in dict.fromkeys(every) if allowed is None or kind in allowed)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is stored. chosen: by the recipient. audience: by the client, for all of its recipients. stopped:
    the categories that were unsubscribed from at the address, by whatever id."""

    chosen: Mapping[Category, Preference] = field(default_factory=dict[Category, Preference])
    audience: Mapping[Category, Preference] = field(default_factory=dict[Category, Preference])
    stopped: Collection[Category] = ()

    def of(self, category: Category, terms: CategoryTerms) -> Preference:
        """What applies to a category now: nothing where it needs their confirmation and has none."""
        own = self.chosen.get(category)
        lacks_consent = terms.confirm and not (own and own.confirmed)
        return NEVER if category in self.stopped or lacks_consent else self.said(category, terms)[0]

    def said(self, category: Category, terms: CategoryTerms) -> list[Preference]:
        """What the recipient, the client and the installation say of a category, in this order."""
        found = (self.chosen.get(category), self.audience.get(category), _default(terms))
        return [one for one in found if one is not None]


def _default(terms: CategoryTerms) -> Preference:
    return Preference(terms.cadence, tuple(terms.channels) if terms.channels else None)


@dataclass(frozen=True, slots=True)
class Offer:
    """A category as the page shows it. kinds: those to choose from. now: what applies."""

    category: Category
    kinds: tuple[str, ...]
    now: Preference

    @property
    def every(self) -> Every:
        return self.now.cadence.every

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kinds that are ticked."""
        chosen = self.now.channels
        return self.kinds if chosen is None else tuple(kind for kind in self.kinds if kind in chosen)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the form says of a category."""

    every: Every
    kinds: tuple[str, ...]


def offers(catalogue: Catalogue, standing: Standing) -> list[Offer]:
    """Every category that the recipient may choose about."""
    return [
        Offer(category, catalogue.kinds(category), standing.of(category, terms_of(category, catalogue.terms)))
        for category in catalogue.optional
    ]


def changed(
    shown: Iterable[Offer], answers: Mapping[Category, Answer], confirms: bool = False
) -> dict[Category, Preference]:
    """The choices that differ from what applies. A category that stays as it is keeps following the client's
    choice and the installation's. confirms: whether the form came by a link in a mail to the recipient's
    address, which proves the address as a double opt-in does."""
    found: dict[Category, Preference] = {}
    for one in shown:
        if one.category in answers:
            chosen = _preference(one, answers[one.category], confirms)
            if not _is_same(one, replace(one, now=chosen)):
                found[one.category] = chosen
    return found


def confirmed(category: Category, standing: Standing, terms: CategoryTerms) -> Preference:
    """What a recipient wants who confirms a category: what the first says that does not turn it off, or all
    of it at once."""
    wanted = (one for one in standing.said(category, terms) if one.cadence.every is not Every.NEVER)
    return replace(next(wanted, Preference()), confirmed=True)


def _is_same(one: Offer, other: Offer) -> bool:
    return (one.now.cadence, one.wanted) == (other.now.cadence, other.wanted)


def _preference(offer: Offer, answer: Answer, confirms: bool) -> Preference:
    """A cadence that stays keeps its time and day. A recipient who wants no channel wants nothing."""
    if answer.every is Every.NEVER or (offer.kinds and not answer.kinds):
        return Preference(Cadence(Every.NEVER), offer.now.channels)
    same = answer.every is offer.every
    cadence = offer.now.cadence if same else Cadence.parse(str(answer.every))
    every_kind = len(answer.kinds) == len(offer.kinds)
    return Preference(cadence, None if every_kind else answer.kinds, confirms)


async def standing(ledger: Ledger, link: Link) -> Standing:
    """What is stored of a link's recipient."""
    chosen = await preferences.choices(ledger, link.client, link.key)
    audience = await preferences.choices(ledger, link.client, preferences.AUDIENCE)
    return Standing(
        {category: one.preference for category, one in chosen.items()},
        {category: one.preference for category, one in audience.items()},
        await _stopped(ledger, link) if link.address else (),
    )


async def _stopped(ledger: Ledger, link: Link) -> set[Category]:
    theirs = Which(address=link.address, clients=(link.client,), cause=Cause.UNSUBSCRIBE)
    return {one.scope async for one in suppressions.each(ledger, theirs) if one.scope}


async def turn_off(ledger: Ledger, link: Link, by: str, types: TypesOf) -> None:
    """Turn the link's category off. by: ONE_CLICK, BUTTON or BY_MAIL. Safe to repeat. Raises ValueError for a
    link of the preference page."""
    if link.category is None:
        raise ValueError("a link of the preference page turns no category off")
    how = f"{by}, by the address" if by == BY_MAIL else by
    evidence = f"{how} in a mail of {link.category}, {_utc(now())}"
    await choose(ledger, _choosing(link, {link.category: NEVER}, by, evidence), types)


async def save(ledger: Ledger, link: Link, chosen: Mapping[Category, Preference], types: TypesOf) -> None:
    """Store what the recipient chose on the page."""
    if chosen:
        await choose(ledger, _choosing(link, chosen, PAGE, f"{PAGE}, {_utc(now())}"), types)


async def confirm(ledger: Ledger, link: Link, catalogue: Catalogue) -> None:
    """Confirm the link's category. Safe to repeat. Raises ValueError for a link of the preference page."""
    if link.category is None:
        raise ValueError("a link of the preference page confirms no category")
    terms = terms_of(link.category, catalogue.terms)
    chosen = {link.category: confirmed(link.category, await standing(ledger, link), terms)}
    evidence = f"{CONFIRMATION}, by the link of a mail to the address, {_utc(now())}"
    await choose(ledger, _choosing(link, chosen, CONFIRMATION, evidence), catalogue.names)


def _choosing(link: Link, chosen: Mapping[Category, Preference], by: str, evidence: str) -> Choosing:
    return Choosing(link.client, link.key, chosen, by, evidence, link.address)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
