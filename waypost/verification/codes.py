"""Verification codes and links: derived when a message is rendered, kept only as a keyed hash.

A code never becomes a fact, a Prefect parameter or a ledger row: it exists in the worker's memory
between rendering and sending, and in the mail.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from waypost.ledger import Ledger
from waypost.ledger.records import verification_codes
from waypost.ledger.records.installation import check_key
from waypost.ledger.records.verification_codes import Checked
from waypost.mail.pasted_text import cleaned
from waypost.model.notification import Notification
from waypost.model.notification_type import MintContext
from waypost.system.clock import now

LIFETIME = timedelta(minutes=15)
DIGITS = 6
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")
_HASH_OCTETS = 8  # of a code's hash in the token of its link: enough to tell a notification's codes apart


MINTED = ("code", "link", "token", "minutes")


async def mint(
    context: MintContext, notifications: Sequence[Notification]
) -> Mapping[UUID, Mapping[str, Any]]:
    """`code`, `link`, its `token` and `minutes` for each notification. The hashes of the codes are stored in
    the ledger first; none is stored if a link cannot be made. Raises OtherKey.

    A notification rendered again for the same addresses has the same code, so that the code is right in
    whichever of its messages arrives. The lifetime of the code counts from the last rendering.
    """
    made: dict[UUID, Mapping[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    moment = now()
    for notification in notifications:
        places = _places(notification)
        made[notification.id] = _minted(context.secret_key, notification, places)
        hashed = code_hash(context.secret_key, notification.id, made[notification.id]["code"])
        rows += _rows(notification, places, hashed, moment)
    await context.keep_codes(rows)
    return made


Places = Mapping[str, str]
"""Where a notification may go: the address by kind of channel."""


def _places(notification: Notification) -> Places:
    person, kinds = notification.recipient, notification.channels
    known = ((kind, person.address(kind)) for kind in (("email", "sms") if kinds is None else kinds))
    return {kind: verification_codes.proved(kind, address) for kind, address in known if address}


def _rows(
    notification: Notification, places: Places, hashed: bytes, moment: datetime
) -> list[dict[str, Any]]:
    return [
        {
            "notification_id": notification.id,
            "recipient_key": notification.recipient.key,
            "channel": kind,
            "address": address,
            "code_hash": hashed,
            "minted_at": moment,
            "expires_at": moment + LIFETIME,
        }
        for kind, address in places.items()
    ]


def _minted(secret_key: bytes, notification: Notification, places: Places) -> Mapping[str, Any]:
    code = code_for(secret_key, notification.id, places)
    named = code_hash(secret_key, notification.id, code)[:_HASH_OCTETS].hex()
    token = _signer(secret_key).dumps(f"{notification.id.hex}{named}")
    return {
        "code": code,
        "link": with_token(str(notification.data["verify_url"]), token),
        "token": token,
        "minutes": int(LIFETIME.total_seconds() // 60),
    }


def code_for(secret_key: bytes, id: UUID, places: Places) -> str:
    """The code of the notification `id` at `places`. Other addresses have another code: the code sent to the
    old addresses proves nothing about the new ones."""
    bound = "\n".join(f"{kind} {address}" for kind, address in sorted(places.items()))
    digest = hmac.digest(secret_key, b"verification code" + id.bytes + bound.encode(), sha256)
    return f"{int.from_bytes(digest) % 10**DIGITS:0{DIGITS}}"


def code_hash(secret_key: bytes, id: UUID, code: str) -> bytes:
    """A hash that is keyed and bound to its notification: six digits alone could be tried out in a moment."""
    return hmac.digest(secret_key, id.bytes + code.encode(), sha256)


def with_token(page: str, token: str) -> str:
    """`page` with `token`, which needs no encoding, at the end of its query. The query stays as its
    application wrote it, but for a token of its own: the application may read the first."""
    parts = urlsplit(page)
    kept = [field for field in parts.query.split("&") if field and field.partition("=")[0] != "token"]
    return urlunsplit(parts._replace(query="&".join([*kept, f"token={token}"])))


def digits_of(text: str) -> str | None:
    """The code in `text` as people type or paste it: digits of any script, with blanks and hyphens. None when
    `text` cannot be a code."""
    digits = "".join(cleaned(text).replace("-", " ").split())
    return digits if _CODE.fullmatch(digits) else None


async def verify(
    ledger: Ledger, secret_key: bytes, recipient: str, code: str, client: str | None = None
) -> Checked:
    """Check `code` for `recipient` (id or address). A code works once; five wrong tries end it. Text that
    cannot be a code is WRONG by any key and is not counted. client: the code's client. Raises OtherKey."""
    digits = digits_of(code)
    if digits is None:
        return Checked.WRONG
    return await verification_codes.check_code(
        ledger, secret_key, recipient, lambda id: code_hash(secret_key, id, digits), client
    )


async def verify_link(ledger: Ledger, secret_key: bytes, token: str, client: str | None = None) -> Checked:
    """Check the `token` of a link. Of a link and its code, only the first used works. Raises OtherKey."""
    match _read(secret_key, token):
        case Checked() as found:
            await check_key(ledger, secret_key)  # the signature may be valid by the ledger's key
            return found
        case id, begins:
            return await verification_codes.check_link(ledger, secret_key, id, begins, client)


def _read(secret_key: bytes, token: str) -> Checked | tuple[UUID, bytes]:
    """The notification id and the first bytes of the code's hash in a token, or why the token has none."""
    try:
        named = _signer(secret_key).loads(token, max_age=int(LIFETIME.total_seconds()))
        return UUID(named[:32]), bytes.fromhex(named[32:])
    except SignatureExpired:
        return Checked.EXPIRED
    except (BadSignature, ValueError):
        return Checked.UNKNOWN


def _signer(secret_key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="waypost.verification")
