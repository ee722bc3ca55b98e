"""Whether the notifications of a batch may be sent, by what their recipients chose and by suppressions.

A handful of queries for a batch, whatever its size. policy/precedence.py decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_ids, in_texts
from waypost.ledger.database.tables import NOT_IN_HAND, notifications
from waypost.ledger.queue.digest_items import copy_end_to_items
from waypost.ledger.queue.timeline_events import note_events
from waypost.ledger.records import preferences, soft_bounces, suppressions
from waypost.ledger.records.recipients import Who
from waypost.mail.address import url_of
from waypost.model.batch import Ended
from waypost.model.category import Category, CategoryTerms, terms_of
from waypost.model.notification import ADDRESSED_BY, Notification
from waypost.model.notification_type import NotificationType, Outlasted
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.model.suppression import Suppressed
from waypost.policy.precedence import Circumstances, Preference, Rule, Verdict, decide
from waypost.system.ids import first_id


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    """What decides about the notifications of a type. terms: of its category. alike: the names of all types
    of that category, which share its frequency cap."""

    type: NotificationType
    terms: CategoryTerms
    alike: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        type: NotificationType,
        settings: Mapping[Category, CategoryTerms],
        types: Collection[NotificationType] = (),
    ) -> SendingPolicy:
        """The policy of `type`, by the settings of categories. types: all types that there are."""
        alike = {one.name for one in types if one.category is type.category}
        return cls(type, terms_of(type.category, settings), tuple(sorted({*alike, type.name})))

    @property
    def usual_rule(self) -> str:
        """The rule that allows what nobody chose anything about."""
        return Rule.MANDATORY if self.terms.mandatory else Rule.DEFAULT


def ask(
    connection: sa.Connection,
    policy: SendingPolicy,
    found: Sequence[Notification],
    due: Mapping[UUID, datetime],
    moment: datetime,
    batch: UUID,
) -> tuple[list[Notification], list[Ended]]:
    """Decide about each of `found`. Those that may not be sent are suppressed, those that have to wait are
    deferred; both are returned as ended. The others are returned with the channels that they may use.

    due: when each was due.
    """
    known = _look_up(connection, policy, found, moment)
    if known.soft_bounced:
        found = [_marked(one, known.soft_bounced) for one in found]
    verdict_of = _Verdicts(policy, known, moment).of
    allowed: list[Notification] = []
    suppressed: defaultdict[str, list[Notification]] = defaultdict(list)
    waiting: defaultdict[tuple[datetime, str], list[Notification]] = defaultdict(list)
    expired: list[Notification] = []
    overridden: defaultdict[str, list[UUID]] = defaultdict(list)
    for one in found:
        verdict = verdict_of(one)
        if verdict is None:
            allowed.append(one)
        elif not verdict.sends:
            suppressed[_in_words(verdict)].append(one)
        elif verdict.until is None or _sends_at_once(one, policy, verdict.until):
            if verdict.rule is Rule.MANDATORY and verdict.why:
                overridden[verdict.why].append(one.id)
            allowed.append(_narrowed(one, verdict, policy.type))
        elif verdict.until < _deadline(one, policy, due[one.id], verdict.until):
            waiting[verdict.until, _in_words(verdict)].append(one)
        else:
            expired.append(one)
    ended = [
        *_suppress(connection, suppressed, moment),
        *_put_off(connection, policy, waiting, due, batch),
        *_expire(connection, expired, moment),
    ]
    for why, ids in overridden.items():
        note_events(connection, ids, "allowed", f"{why}; {policy.type.category} is mandatory", batch)
    return allowed, ended


_NONE: Mapping[str, Collection[Suppressed]] = {}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger says of the recipients of a batch. sent: how many each was sent in the cap's span.
    soft_bounced: the addresses with soft bounces, as URLs."""

    suppressions: suppressions.ByAddress
    preferences: preferences.ByRecipient
    sent: Counter[Who]
    soft_bounced: Collection[str] = ()


def _look_up(
    connection: sa.Connection, policy: SendingPolicy, found: Sequence[Notification], moment: datetime
) -> _Known:
    people = {(one.client, one.recipient.key) for one in found}
    category, terms = policy.type.category, policy.terms
    reached = {kind for kind in policy.type.kinds if kind in ADDRESSED_BY}
    addresses = {
        kind: {url_of(address) for one in found if (address := one.recipient.address(kind))}
        for kind in reached
    }
    every = set[str]().union(*addresses.values())
    stopped = suppressions.of_addresses(connection, every, category, moment)
    bounced = soft_bounces.known(connection, addresses.get("email", set()))
    if terms.mandatory:
        return _Known(stopped, {}, Counter(), bounced)
    chosen = preferences.of_recipients(connection, people, category)
    sent = Counter[Who]()
    if terms.at_most is not None:
        sent = _sent(connection, people, policy.alike, moment - terms.at_most.span)
    return _Known(stopped, chosen, sent, bounced)


def _sent(
    connection: sa.Connection, people: Collection[Who], types: Sequence[str], since: datetime
) -> Counter[Who]:
    """How many notifications of `types`, made since then, were sent to each of `people`."""
    table = notifications.c
    clients, keys = {client for client, _ in people}, {key for _, key in people}
    whose = in_texts(table.client, clients - {""})
    wanted = (
        sa.select(table.client, table.recipient_key, sa.func.count())
        .where(
            sa.or_(whose, table.client.is_(None)) if "" in clients else whose,
            in_texts(table.recipient_key, keys),
            NOT_IN_HAND,
            table.state == State.SENT,
            table.type.in_(types),
            table.id >= first_id(since),
            table.finished_at >= since,
        )
        .group_by(table.client, table.recipient_key)
    )
    rows = connection.execute(wanted).all()
    return Counter({(client or "", key): count for client, key, count in rows})


def _marked(one: Notification, soft_bounced: Collection[str]) -> Notification:
    """`one`, with the mark of a soft-bounced address, so that a mail that is taken there forgets it."""
    email = one.recipient.email
    is_known = bool(soft_bounced) and email is not None and url_of(email) in soft_bounced
    return replace(one, soft_bounced=True) if is_known else one


class _Verdicts:
    """Decides about notifications. Most of a batch are alike in all that counts, and share a verdict."""

    def __init__(self, policy: SendingPolicy, known: _Known, moment: datetime) -> None:
        self._policy = policy
        self._known = known
        self._moment = moment
        self._shared: dict[tuple[Any, ...], Verdict] = {}

    def of(self, one: Notification) -> Verdict | None:
        """None for a notification that reaches its recipient by no channel: it fails, and says so."""
        person, known = one.recipient, self._known
        kinds = tuple(kind for kind in self._policy.type.kinds_of(one.channels) if person.address(kind))
        if not kinds:
            return None
        who = one.client, person.key
        alike = (
            kinds,
            one.accepted_at,
            person.timezone,
            one.priority,
            known.preferences.get(who),
            known.preferences.get((one.client, preferences.AUDIENCE)),
            known.sent[who],
        )
        if known.suppressions and (suppressed := self._suppressed(one, kinds)):
            return self._decided(*alike, suppressed=suppressed)
        verdict = self._shared.get(alike)
        if verdict is None:
            verdict = self._shared[alike] = self._decided(*alike)
        return verdict

    def _suppressed(self, one: Notification, kinds: Sequence[str]) -> dict[str, list[Suppressed]]:
        """By kind, the suppressions of the recipient's address there."""
        addresses = {kind: one.recipient.address(kind) for kind in kinds if kind in ADDRESSED_BY}
        found = {
            kind: suppressions.that_stop(self._known.suppressions, url_of(address), one.client)
            for kind, address in addresses.items()
            if address
        }
        return {kind: some for kind, some in found.items() if some}

    def _decided(
        self,
        kinds: tuple[str, ...],
        accepted_at: datetime,
        timezone: str,
        priority: Priority,
        recipient: Preference | None,
        audience: Preference | None,
        sent: int,
        suppressed: Mapping[str, Collection[Suppressed]] = _NONE,
    ) -> Verdict:
        circumstances = Circumstances(
            category=self._policy.type.category,
            kinds=kinds,
            accepted_at=accepted_at,
            zone=_zone(timezone),
            urgent=priority is Priority.URGENT,
            suppressed=suppressed,
            recipient=recipient,
            audience=audience,
            sent=sent,
        )
        return decide(circumstances, self._policy.terms, self._moment)


@lru_cache(1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):  # of a damaged row, or of other zone files
        return ZoneInfo("UTC")


def _in_words(verdict: Verdict) -> str:
    return f"{verdict.why} ({verdict.rule})" if verdict.why else str(verdict.rule)


def _sends_at_once(one: Notification, policy: SendingPolicy, until: datetime) -> bool:
    return policy.type.when_outlasted is Outlasted.SEND and until >= one.expires_at


def _deadline(one: Notification, policy: SendingPolicy, due: datetime, until: datetime) -> datetime:
    """Its deadline, if it waits until then. An expiry that its request named is never moved; the deadline of
    its type, counted from when it was due, is."""
    if policy.type.when_outlasted is Outlasted.HOLD and one.expires_at == due + policy.type.deadline:
        return until + policy.type.deadline
    return one.expires_at


def _narrowed(one: Notification, verdict: Verdict, type: NotificationType) -> Notification:
    """With the rule that allowed it, and without the channels that it may not use."""
    kinds = type.kinds_of(one.channels)
    if verdict.kinds == kinds and verdict.rule == one.rule:
        return one
    left = [kind for kind in kinds if kind in verdict.kinds or not one.recipient.address(kind)]
    if len(left) == len(kinds):
        return one if one.rule == verdict.rule else replace(one, rule=str(verdict.rule))
    return replace(one, rule=str(verdict.rule), channels=left)


def _suppress(
    connection: sa.Connection, found: Mapping[str, Sequence[Notification]], moment: datetime
) -> list[Ended]:
    for why, members in found.items():
        _end(connection, members, State.SUPPRESSED, why, moment)
    return [_ended(one, State.SUPPRESSED, why) for why, members in found.items() for one in members]


def _expire(connection: sa.Connection, found: Sequence[Notification], moment: datetime) -> list[Ended]:
    if found:
        _end(connection, found, State.EXPIRED, OUTLASTED, moment)
    return [_ended(one, State.EXPIRED, OUTLASTED) for one in found]


OUTLASTED = "its deadline ends before its recipient wants it"


def _end(
    connection: sa.Connection, members: Sequence[Notification], state: State, why: str, moment: datetime
) -> None:
    ids = [one.id for one in members]
    values: dict[str, Any] = {"state": state, "reason": why, "finished_at": moment}
    connection.execute(sa.update(notifications).where(in_ids(notifications.c.id, ids)).values(values))
    copy_end_to_items(connection, ids, values)


def _put_off(
    connection: sa.Connection,
    policy: SendingPolicy,
    found: Mapping[tuple[datetime, str], Sequence[Notification]],
    due: Mapping[UUID, datetime],
    batch: UUID,
) -> list[Ended]:
    ended: list[Ended] = []
    for (until, why), members in found.items():
        by_deadline: defaultdict[datetime, list[UUID]] = defaultdict(list)
        for one in members:
            by_deadline[_deadline(one, policy, due[one.id], until)].append(one.id)
            ended.append(_ended(one, State.DEFERRED, why, until))
        for deadline, ids in by_deadline.items():
            values = {"state": State.DEFERRED, "reason": why, "due_at": until, "expires_at": deadline}
            connection.execute(sa.update(notifications).where(in_ids(notifications.c.id, ids)).values(values))
            note_events(connection, ids, "put off", f"until {_utc(until)}: {why}", batch)
    return ended


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _ended(one: Notification, state: State, why: str, due: datetime | None = None) -> Ended:
    person = one.recipient
    return Ended(one.id, state, why, person.key, person.email, person.phone, due)
