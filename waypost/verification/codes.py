"""Verification codes and links: derived when a message is rendered, kept only as a keyed hash.

A code never becomes a fact, a Prefect parameter or a ledger row: it exists in the worker's memory
between rendering and sending, and in the mail.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from waypost.ledger import Ledger
from waypost.ledger.records import verification_codes
from waypost.ledger.records.installation import check_key
from waypost.ledger.records.verification_codes import Checked, Scope
from waypost.mail.pasted_text import cleaned
from waypost.model.notification import Notification
from waypost.model.notification_type import MintContext
from waypost.system.clock import now

LIFETIME = timedelta(minutes=15)
LONGEST = timedelta(days=30)  # the lifetime of a link that no type exceeds
DIGITS = 6
_CODE = re.compile(rf"[0-9]{{{DIGITS}}}")
_HASH_OCTETS = 8  # of a code's hash in the token of its link: enough to tell a notification's codes apart
_ALONE = "+"  # no hexadecimal digit; ends the token of a link whose use leaves the older links valid


@dataclass(frozen=True, slots=True)
class Proof:
    """A minter of codes and links. A type uses it as its `mint`, and its `minted` as its `minted`.

    lifetime: counts from the last rendering; at most LONGEST.
    code: whether it mints `code`.
    page: the fact with the page that the link opens, for `link` and its `token`. None: no link.
    ends_older: whether the use of a code or link also ends the older ones of its type at the same address.
    """

    lifetime: timedelta
    code: bool = True
    page: str | None = "verify_url"
    ends_older: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError for a lifetime above LONGEST, and for neither code nor page."""
        if not timedelta() < self.lifetime <= LONGEST:
            raise ValueError(f"lifetime: not between 0 and {LONGEST.days} days")
        if not self.code and self.page is None:
            raise ValueError("neither a code nor a link")

    @property
    def minted(self) -> tuple[str, ...]:
        """The names of what it mints."""
        link = () if self.page is None else ("link", "token")
        return (*(("code",) if self.code else ()), *link, "minutes")

    async def __call__(
        self, context: MintContext, notifications: Sequence[Notification]
    ) -> Mapping[UUID, Mapping[str, Any]]:
        """The minted values of each notification. `minutes` is the lifetime. The hashes of codes and links
        are stored in the ledger first; none is stored if a link cannot be made. Raises OtherKey.

        A notification rendered again for the same addresses has the same code, so that the code is right in
        whichever of its messages arrives.
        """
        made: dict[UUID, Mapping[str, Any]] = {}
        rows: list[dict[str, Any]] = []
        expires_at = now() + self.lifetime
        for notification in notifications:
            places = _places(notification)
            code = code_for(context.secret_key, notification.id, places)
            hashed = code_hash(context.secret_key, notification.id, code)
            made[notification.id] = self._values(context.secret_key, notification, code, hashed)
            # The beginning of a hash is not compared with codes: without it, wrong codes would end links.
            kept = hashed if self.code else hashed[:_HASH_OCTETS]
            rows += _rows(notification, places, kept, expires_at - self.lifetime, expires_at)
        await context.keep_codes(rows)
        return made

    def _values(
        self, secret_key: bytes, notification: Notification, code: str, hashed: bytes
    ) -> Mapping[str, Any]:
        values: dict[str, Any] = {"minutes": self.lifetime // timedelta(minutes=1)}
        if self.code:
            values["code"] = code
        if self.page is not None:
            named = f"{notification.id.hex}{hashed[:_HASH_OCTETS].hex()}{'' if self.ends_older else _ALONE}"
            token = _signer(secret_key).dumps(named)
            values |= {"link": with_token(str(notification.data[self.page]), token), "token": token}
        return values


mint = Proof(LIFETIME)
MINTED = mint.minted


Places = Mapping[str, str]
"""Where a notification may go: the address by kind of channel."""


def _places(notification: Notification) -> Places:
    person, kinds = notification.recipient, notification.channels
    known = ((kind, person.address(kind)) for kind in (("email", "sms") if kinds is None else kinds))
    return {kind: verification_codes.proved(kind, address) for kind, address in known if address}


def _rows(
    notification: Notification, places: Places, hashed: bytes, minted_at: datetime, expires_at: datetime
) -> list[dict[str, Any]]:
    return [
        {
            "notification_id": notification.id,
            "recipient_key": notification.recipient.key,
            "channel": kind,
            "address": address,
            "code_hash": hashed,
            "minted_at": minted_at,
            "expires_at": expires_at,
        }
        for kind, address in places.items()
    ]


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
    ledger: Ledger,
    secret_key: bytes,
    recipient: str,
    code: str,
    client: str | None = None,
    type: str | None = None,
) -> Checked:
    """Check `code` for `recipient` (id or address). A code works once; five wrong tries end it. Text that
    cannot be a code is WRONG by any key and is not counted. client: the code's client. type: the name of the
    code's type; None for any. Raises OtherKey."""
    digits = digits_of(code)
    if digits is None:
        return Checked.WRONG
    scope = Scope(client, type)
    return await verification_codes.check_code(
        ledger, secret_key, recipient, lambda id: code_hash(secret_key, id, digits), scope
    )


async def verify_link(
    ledger: Ledger, secret_key: bytes, token: str, client: str | None = None, type: str | None = None
) -> Checked:
    """Check the `token` of a link. Of a link and its code, only the first used works. type: the name of the
    link's type, so that an invitation cannot reset a password; None for any. Raises OtherKey."""
    match _read(secret_key, token):
        case Checked() as found:
            await check_key(ledger, secret_key)  # the signature may be valid by the ledger's key
            return found
        case id, begins, alone:
            scope = Scope(client, type)
            return await verification_codes.check_link(ledger, secret_key, id, begins, scope, alone)


def _read(secret_key: bytes, token: str) -> Checked | tuple[UUID, bytes, bool]:
    """The notification id and the first bytes of the code's hash in a token, and whether its use leaves the
    older links valid; or why the token has none."""
    try:
        named = _signer(secret_key).loads(token, max_age=int(LONGEST.total_seconds()))
        return UUID(named[:32]), bytes.fromhex(named[32:].removesuffix(_ALONE)), named.endswith(_ALONE)
    except SignatureExpired:
        return Checked.EXPIRED
    except (BadSignature, ValueError):
        return Checked.UNKNOWN


def _signer(secret_key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="waypost.verification")
