"""Whether the notifications of a batch may be sent, by what their recipients chose and by suppressions.

A handful of queries for a batch, whatever its size. policy/precedence.py decides.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from waypost.ledger.database.bulk import in_texts, update_many
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.lock_numbers import CAP
from waypost.ledger.database.sealing import stored_keys
from waypost.ledger.database.tables import IN_HAND, NOT_IN_HAND, batches, notifications
from waypost.ledger.queue.ending import end
from waypost.ledger.queue.expiry import expire
from waypost.ledger.queue.other_addresses import Redirected, keep, redirected
from waypost.ledger.queue.recipient_rows import Opened
from waypost.ledger.queue.timeline_events import note_each, note_events
from waypost.ledger.records import preferences, soft_bounces, suppressions
from waypost.ledger.records.recipients import Who
from waypost.mail.address import url_of
from waypost.model.batch import Ended
from waypost.model.category import Category, CategoryTerms, terms_of
from waypost.model.notification import ADDRESSED_BY, Notification
from waypost.model.notification_type import NotificationType, Outlasted
from waypost.model.permission import Circumstances, Preference, Rule, Verdict
from waypost.model.priority import Priority
from waypost.model.states import State
from waypost.model.suppression import Suppressed
from waypost.policy.precedence import decide
from waypost.system.ids import first_id
from waypost.system.isolation import ItemFailed, isolated

# A notification is counted by when it was sent, and found by when it was accepted: how long one waits at
# most for a cadence, its quiet hours and its retries.
_LONGEST_WAIT = timedelta(days=40)
STEP = "deciding whether it may be sent"


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
    asked: Mapping[UUID, Opened],
    moment: datetime,
    batch: UUID,
) -> tuple[list[Notification], list[Ended]]:
    """Decide about each of `found`. Those that may not be sent are suppressed, those that have to wait are
    deferred; both are returned as ended. The others are returned with the channels that they may use.

    asked: the row of each, which says when it was due, and what its request said of its recipient.
    """
    addresses, broken = _addresses_of(found, policy.type.kinds)
    sound = [one for one in found if one.id in addresses]
    urls = {url for some in addresses.values() for url in some}
    known = _look_up(connection, policy, sound, urls, moment, batch)
    sorting = _Sorting(policy, known, asked, _Verdicts(policy, known, moment), broken=broken)
    moved = _redirected(connection, policy, sound, asked, known, moment)
    for one in sound:
        sorting.add(moved[one.id].notification if one.id in moved else one)
    gone = {one.id: moved[one.id] for one in sorting.allowed if one.id in moved} if moved else {}
    keep(connection, gone, asked)
    note_each(connection, "redirected", {id: one.why for id, one in gone.items()}, batch)
    _put_off(connection, sorting.waiting, batch)
    for why, ids in sorting.overridden.items():
        note_events(connection, ids, "allowed", f"{why}; {policy.type.category} is mandatory", batch)
    return sorting.allowed, [
        *_end(connection, State.SUPPRESSED, sorting.suppressed, moment),
        *_end(connection, State.EXPIRED, {OUTLASTED: sorting.expired}, moment),
        *_end(connection, State.FAILED, sorting.broken, moment),
        *(_ended(wait.one, State.DEFERRED, wait.why, wait.until) for wait in sorting.waiting),
    ]


_NONE: Mapping[str, Collection[Suppressed]] = {}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger says of the recipients of a batch. sent: how many each was sent in the cap's span;
    those of the batch that are allowed are added. soft_bounced: the addresses with soft bounces, as URLs."""

    suppressions: suppressions.ByAddress
    preferences: preferences.ByRecipient
    sent: Counter[Who]
    soft_bounced: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class _Wait:
    one: Notification
    until: datetime
    deadline: datetime
    why: str


Members = defaultdict[str, list[Notification]]  # by the reason of their end


@dataclass(slots=True)
class _Sorting:
    """What is decided about each notification. An exception fails the notification that caused it."""

    policy: SendingPolicy
    known: _Known
    asked: Mapping[UUID, Opened]
    verdicts: _Verdicts
    broken: Members
    allowed: list[Notification] = field(default_factory=list[Notification])
    waiting: list[_Wait] = field(default_factory=list[_Wait])
    expired: list[Notification] = field(default_factory=list[Notification])
    suppressed: Members = field(default_factory=lambda: Members(list))
    overridden: defaultdict[str, list[UUID]] = field(default_factory=lambda: defaultdict(list))

    def add(self, one: Notification) -> None:
        try:
            with isolated(STEP, item=one.id):
                self._add(_marked(one, self.known.soft_bounced) if self.known.soft_bounced else one)
        except ItemFailed as failed:
            self.broken[str(failed)].append(one)

    def _add(self, one: Notification) -> None:
        verdict = self.verdicts.of(one)
        if verdict is None:
            self.allowed.append(one)
        elif not verdict.sends:
            self.suppressed[verdict.reason].append(one)
        elif verdict.until is None or _sends_at_once(one, self.policy, verdict.until):
            self._allow(one, verdict)
        else:
            deadline = _deadline(one, self.policy, self.asked[one.id].due_at, verdict.until)
            if verdict.until < deadline:
                self.waiting.append(_Wait(one, verdict.until, deadline, verdict.reason))
            else:
                self.expired.append(one)

    def _allow(self, one: Notification, verdict: Verdict) -> None:
        if verdict.rule is Rule.MANDATORY and verdict.why:
            self.overridden[verdict.why].append(one.id)
        self.known.sent[one.client, one.recipient.key] += 1
        self.allowed.append(_narrowed(one, verdict, self.policy.type))


def _addresses_of(
    found: Sequence[Notification], kinds: Collection[str]
) -> tuple[dict[UUID, list[str]], Members]:
    """The addresses by which the `kinds` reach each notification's recipient, as URLs, and those whose
    addresses cannot be read."""
    urls, broken = dict[UUID, list[str]](), Members(list)
    reached = [kind for kind in kinds if kind in ADDRESSED_BY]
    try:
        return {one.id: _urls(one, reached) for one in found}, broken
    except Exception:  # one by one, to find which it is
        urls.clear()
    for one in found:
        try:
            with isolated(STEP, item=one.id):
                urls[one.id] = _urls(one, reached)
        except ItemFailed as failed:
            broken[str(failed)].append(one)
    return urls, broken


def _urls(one: Notification, kinds: Sequence[str]) -> list[str]:
    return [url_of(address) for kind in kinds if (address := one.recipient.address(kind))]


def _look_up(
    connection: sa.Connection,
    policy: SendingPolicy,
    found: Sequence[Notification],
    urls: Collection[str],
    moment: datetime,
    batch: UUID,
) -> _Known:
    people = {(one.client, one.recipient.key) for one in found}
    category, terms = policy.type.category, policy.terms
    keyed = stored_keys(connection, urls)
    stopped = suppressions.of_addresses(connection, keyed, category, moment)
    bounced = soft_bounces.known(connection, keyed)
    if terms.mandatory:
        return _Known(stopped, {}, Counter(), bounced)
    chosen = preferences.of_recipients(connection, people, category)
    sent = Counter[Who]()
    if terms.at_most is not None:
        sent = _sent(connection, people, policy, moment - terms.at_most.span, batch)
    return _Known(stopped, chosen, sent, bounced)


def _redirected(
    connection: sa.Connection,
    policy: SendingPolicy,
    found: Sequence[Notification],
    asked: Mapping[UUID, Opened],
    known: _Known,
    moment: datetime,
) -> Mapping[UUID, Redirected]:
    """Those that go to another address of their recipient. What is mandatory goes to the main one anyway."""
    if not known.suppressions or policy.terms.mandatory:
        return {}
    return redirected(connection, policy.type, found, asked, known.suppressions, moment)


def _sent(
    connection: sa.Connection, people: Collection[Who], policy: SendingPolicy, since: datetime, batch: UUID
) -> Counter[Who]:
    """How many notifications of the category were sent to each of `people` since then, with those that other
    runs are sending. Two runs count one after the other: the second knows what the first sends."""
    if is_postgres(connection):
        connection.execute(_ONE_AT_A_TIME, {"category": str(policy.type.category)})
    table = notifications.c
    clients, keys = {client for client, _ in people}, {key for _, key in people}
    whose = in_texts(table.client, clients - {""})
    counted = (
        sa.select(table.client, table.recipient_key, sa.func.count())
        .where(
            sa.or_(whose, table.client.is_(None)) if "" in clients else whose,
            in_texts(table.recipient_key, keys),
            table.type.in_(policy.alike),
        )
        .group_by(table.client, table.recipient_key)
    )
    sent = counted.where(
        NOT_IN_HAND,
        table.state == State.SENT,
        table.id >= first_id(since - _LONGEST_WAIT),
        table.finished_at >= since,
    )
    taken = sa.select(batches.c.id).where(
        batches.c.ended_at.is_(None), batches.c.taken_at.is_not(None), batches.c.id != batch
    )
    in_hand = counted.where(IN_HAND, table.batch_id.in_(taken))
    found = Counter[Who]()
    for wanted in (sent, in_hand):
        for client, key, count in connection.execute(wanted):
            found[client or "", key] += count
    return found


_ONE_AT_A_TIME = sa.text(f"SELECT pg_advisory_xact_lock({CAP}, hashtext(:category))")


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


OUTLASTED = "its deadline ends before its recipient wants it"


def _end(
    connection: sa.Connection, state: State, found: Mapping[str, Sequence[Notification]], moment: datetime
) -> list[Ended]:
    for why, members in found.items():
        ids = [one.id for one in members]
        if state is State.EXPIRED:
            expire(connection, ids, why, moment)
        else:
            end(connection, ids, state, why, moment)
    return [_ended(one, state, why) for why, members in found.items() for one in members]


def _put_off(connection: sa.Connection, found: Sequence[_Wait], batch: UUID) -> None:
    rows = [
        {
            "id": wait.one.id,
            "state": State.DEFERRED,
            "reason": wait.why,
            "due_at": wait.until,
            "expires_at": wait.deadline,
        }
        for wait in found
    ]
    update_many(connection, notifications, rows)
    told = {wait.one.id: f"until {_utc(wait.until)}: {wait.why}" for wait in found}
    note_each(connection, "put off", told, batch)


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _ended(one: Notification, state: State, why: str, due: datetime | None = None) -> Ended:
    person = one.recipient
    return Ended(one.id, state, why, person.key, person.email, person.phone, due)
