"""The hashes of codes that went into messages, and the checking of a code or link.

A row is a code at an address: a notification may go to several addresses, and has another code when they
change. Addresses are normalized for comparison in Python, by `folded`, before they reach the database.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, cast
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_ids, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import stored_key
from waypost.ledger.database.tables import ITS_RECIPIENT, attempts, notifications, recipients, verifications
from waypost.ledger.records import recipient_addresses
from waypost.ledger.records.installation import require_key
from waypost.mail.address import folded, named_address, phone_number, url_of
from waypost.model.outcome import Verdict
from waypost.model.states import TERMINAL, State
from waypost.system.clock import now

WRONG_TRIES_ALLOWED = 5
LOOKED_AT = 50  # the newest codes of a recipient; no more are sent in a code's lifetime
HASH_OCTETS = 32  # of a code; a link without a code has a shorter hash, which is compared with no code
ADDRESSES = ("email", "sms")  # the kinds of channel that send to an address; others know a recipient's id

Hasher = Callable[[UUID], bytes]
IsRight = Callable[[Any], bool]


class Checked(StrEnum):
    """What checking a code or link found."""

    VERIFIED = "verified"  # right, and used up by this check
    WRONG = "wrong"  # not the code; it may be tried again
    ENDED = "ended"  # five wrong tries, or its message was not delivered: a new code is needed
    EXPIRED = "expired"  # too late, whether right or wrong
    USED = "used"  # it worked once already
    UNKNOWN = "unknown"  # nothing was sent to that recipient, or no such link


class Scope(NamedTuple):
    """The codes that a check is about: those of a client and of a type, by name; None for any."""

    client: str | None = None
    type: str | None = None

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """On the notification that carried the code."""
        asked = ((notifications.c.client, self.client), (notifications.c.type, self.type))
        return [column == value for column, value in asked if value is not None]


ANY = Scope()


def proved(kind: str, address: str) -> str:
    """What a code sent to `address` over a channel of `kind` proves: the normalized address, or the id by
    which a chat knows its recipient."""
    return folded(address) if kind in ADDRESSES else address


def _place(connection: sa.Connection, kind: str, address: str) -> str:
    """What is proved, as it is kept: the hash of an address, or the id."""
    return stored_key(connection, url_of(address)) if kind in ADDRESSES else address


async def remember(ledger: Ledger, secret_key: bytes, rows: Sequence[dict[str, Any]]) -> None:
    """Store codes that are about to be sent: notification_id, recipient_key, channel, address, code_hash,
    minted_at, expires_at. A known code expires at the later of both times.
    secret_key: the key that the codes were made with. Raises OtherKey."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: (row["notification_id"], row["channel"]))

    def work(connection: sa.Connection) -> None:
        require_key(connection, secret_key)
        kept = [{**row, "address": _place(connection, row["channel"], row["address"])} for row in ordered]
        insert_many(connection, verifications, kept, on_conflict=_until_the_later_end)

    await ledger.write_until_durable(work)


def _until_the_later_end(insert: Any) -> Any:
    known, fresh = verifications.c.expires_at, insert.excluded.expires_at
    return insert.on_conflict_do_update(
        index_elements=list(verifications.primary_key.columns),
        set_={"expires_at": sa.case((fresh > known, fresh), else_=known)},
    )


async def check_code(
    ledger: Ledger, secret_key: bytes, recipient: str, code_hash: Hasher, scope: Scope = ANY
) -> Checked:
    """Check a code against those that were sent to `recipient`, an id or an address in any spelling.

    An address is proved by a code that went to it; an id by a code that went where its messages still go.
    A code is right if its message may have arrived; a wrong try counts against all such codes.
    secret_key: the key of `code_hash`. Raises OtherKey.
    """

    def is_right(row: Any) -> bool:
        return hmac.compare_digest(row.code_hash, code_hash(row.notification_id))

    def work(connection: sa.Connection) -> Checked:
        require_key(connection, secret_key)
        moment, found = now(), _sent_to(connection, recipient, scope)
        rows = [row for row in found if len(row.code_hash) == HASH_OCTETS]
        answer = judge(rows, is_right, moment)
        if answer is Checked.VERIFIED:
            _use_up(connection, rows, is_right, moment)
        elif answer is Checked.WRONG and _count(connection, rows, moment) >= WRONG_TRIES_ALLOWED:
            return Checked.ENDED
        return answer

    return await ledger.write(work)


async def check_link(
    ledger: Ledger, secret_key: bytes, id: UUID, begins: bytes, scope: Scope = ANY, alone: bool = False
) -> Checked:
    """Check a link whose signature, made with `secret_key`, named the notification `id` and the first bytes
    of its code's hash. It works if that notification still goes where the link went.
    alone: its use leaves the older links of its type valid. Raises OtherKey."""
    recipient = sa.select(verifications.c.recipient_key).where(verifications.c.notification_id == id)

    def is_right(row: Any) -> bool:
        return row.notification_id == id and row.code_hash.startswith(begins)

    def work(connection: sa.Connection) -> Checked:
        require_key(connection, secret_key)
        key = recipient.limit(1).scalar_subquery()
        moment, found = now(), _newest(connection, scope, verifications.c.recipient_key == key)
        rows = [row for row in found if _still_goes_there(connection, row, with_named=True)]
        if not any(map(is_right, rows)):
            return Checked.UNKNOWN
        answer = judge(rows, is_right, moment)
        if answer is Checked.VERIFIED:
            _use_up(connection, [row for row in rows if not alone or is_right(row)], is_right, moment)
        return answer

    return await ledger.write(work)


def judge(rows: Sequence[Any], is_right: IsRight, moment: datetime) -> Checked:
    """The result for a code that `is_right` for some or none of `rows`, which are the newest first."""
    answers = [(row, _if_right(row, moment)) for row in rows]
    right = [answer for row, answer in answers if is_right(row)]
    if not answers:
        return Checked.UNKNOWN
    if right:
        return Checked.VERIFIED if Checked.VERIFIED in right else right[0]
    return Checked.WRONG if any(answer is Checked.VERIFIED for _, answer in answers) else answers[0][1]


def _if_right(row: Any, moment: datetime) -> Checked:
    """The result when the code of `row` is given."""
    if row.used_at is not None:
        return Checked.USED
    if row.wrong_tries >= WRONG_TRIES_ALLOWED or row.state == State.CANCELLED:
        return Checked.ENDED
    if moment >= row.expires_at:
        return Checked.EXPIRED
    if row.may_have_arrived:
        return Checked.VERIFIED
    # The recipient cannot have this code: it was read elsewhere, for example in the refusal of a server.
    return Checked.ENDED if row.state in TERMINAL else Checked.WRONG


def _sent_to(connection: sa.Connection, recipient: str, scope: Scope) -> Sequence[Any]:
    """The codes of an address, or of an id. Digits alone are an id if that id has codes, else a phone
    number."""
    if address := named_address(recipient):
        return _sent_to_address(connection, address, scope)
    if (phone := phone_number(recipient)) and not _has_codes(connection, recipient, scope):
        return _sent_to_address(connection, phone, scope)
    return _sent_to_id(connection, recipient, scope)


def _has_codes(connection: sa.Connection, key: str, scope: Scope) -> bool:
    carried = notifications, notifications.c.id == verifications.c.notification_id
    codes = sa.select(sa.literal(1)).select_from(verifications).join(*carried)
    theirs = codes.where(verifications.c.recipient_key == key, *scope.conditions)
    return connection.scalar(theirs.limit(1)) is not None


def _sent_to_address(connection: sa.Connection, address: str, scope: Scope) -> Sequence[Any]:
    kept = stored_key(connection, url_of(address))
    there = verifications.c.channel.in_(ADDRESSES), verifications.c.address == kept
    return _newest(connection, scope, *there)


def _sent_to_id(connection: sa.Connection, key: Any, scope: Scope) -> Sequence[Any]:
    rows = _newest(connection, scope, verifications.c.recipient_key == key)
    return [row for row in rows if _still_goes_there(connection, row)]


def _still_goes_there(connection: sa.Connection, row: Any, with_named: bool = False) -> bool:
    """Whether messages to its recipient still go where the code went. with_named: to where its request itself
    said; its notification goes there whatever is on record."""
    box, whose = sealing.of(connection), (row.client or "", row.recipient_key)
    named = box.shown(notifications, [row.notification_id], "named", row.named) if with_named else None
    said = cast("dict[str, str]", named if isinstance(named, dict) else {}).get
    email, phone = (box.shown(recipients, whose, name, getattr(row, name)) for name in ("email", "phone"))
    known = {"email": said("email", email), "sms": said("phone", phone)}
    reached = known.get(row.channel, row.recipient_key)
    return bool(reached) and _place(connection, row.channel, reached) == row.address


_MAY_HAVE_ARRIVED = sa.exists().where(
    attempts.c.notification_id == verifications.c.notification_id,
    attempts.c.channel == verifications.c.channel,
    sa.or_(attempts.c.verdict.is_(None), attempts.c.verdict.in_((Verdict.ACCEPTED, Verdict.UNKNOWN))),
)


def _newest(connection: sa.Connection, scope: Scope, *conditions: sa.ColumnElement[bool]) -> Sequence[Any]:
    """Codes with the columns that a check needs, the newest first, always locked in the same order. A code
    whose row cannot be read is left out: it is not valid."""
    wanted = (
        sa.select(
            verifications,
            notifications.c.type,
            notifications.c.state,
            notifications.c.named,
            notifications.c.client,
            recipients.c.email,
            recipients.c.phone,
            _MAY_HAVE_ARRIVED.label("may_have_arrived"),
        )
        .join(notifications, notifications.c.id == verifications.c.notification_id)
        .join(recipients, ITS_RECIPIENT)
        .where(*conditions, *scope.conditions)
        .order_by(verifications.c.minted_at.desc(), *verifications.primary_key.columns)
        .limit(LOOKED_AT)
        .with_for_update(of=verifications)
    )
    found = tolerant.each(connection, wanted, [*verifications.primary_key.columns], _sound)
    return found.good


def _sound(row: Any) -> Any:
    return tolerant.checked(row, verifications)


def _use_up(connection: sa.Connection, rows: Sequence[Any], is_right: IsRight, moment: datetime) -> None:
    """Use up the right code, wherever it went, and the older codes of its type to the same address, which is
    verified from then on if it is one of the recipient's."""
    [used, *_] = [row for row in rows if is_right(row) and _if_right(row, moment) is Checked.VERIFIED]
    ids = [
        row.notification_id
        for row in rows
        if (row.type, row.channel, row.address) == (used.type, used.channel, used.address)
        and row.minted_at <= used.minted_at
    ]
    _change(connection, ids, used_at=sa.func.coalesce(verifications.c.used_at, moment))
    if used.channel in ADDRESSES:
        whose = used.client or "", used.recipient_key
        is_main = _on_record(connection, used)[used.channel] == used.address
        recipient_addresses.confirm(connection, whose, used.address, is_main, moment)


def _on_record(connection: sa.Connection, row: Any) -> dict[str, str | None]:
    """The hashes of the main addresses of the recipient in `row`, by the kind of channel."""
    box, whose = sealing.of(connection), (row.client or "", row.recipient_key)
    email, phone = (box.shown(recipients, whose, name, getattr(row, name)) for name in ("email", "phone"))
    found = {"email": email, "sms": phone}
    return {kind: _place(connection, kind, one) if one else None for kind, one in found.items()}


def _count(connection: sa.Connection, rows: Sequence[Any], moment: datetime) -> int:
    """Count a wrong try against every code that could be right. Returns the wrong tries of the code with the
    fewest."""
    live = [row for row in rows if _if_right(row, moment) is Checked.VERIFIED]
    if not live:
        return 0
    _change(connection, [row.notification_id for row in live], wrong_tries=verifications.c.wrong_tries + 1)
    return min(row.wrong_tries for row in live) + 1


def _change(connection: sa.Connection, ids: Sequence[UUID], **values: Any) -> None:
    """Set columns of all codes of those notifications, to any address."""
    connection.execute(
        sa.update(verifications).where(in_ids(verifications.c.notification_id, ids)).values(**values)
    )
