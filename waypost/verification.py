"""Verification codes and links: minted when a mail is rendered, kept only as a keyed hash.

A code never becomes a fact, a Prefect parameter or a ledger row: it exists in the worker's memory
between rendering and sending, and in the mail.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from waypost.clock import now
from waypost.ledger import Ledger, verifications
from waypost.ledger.verifications import Checked
from waypost.notification import Notification
from waypost.runtime import Runtime

LIFETIME = timedelta(minutes=15)
DIGITS = 6


MINTED = ("code", "link", "token", "minutes")


async def mint(runtime: Runtime, notifications: Sequence[Notification]) -> Mapping[UUID, Mapping[str, Any]]:
    """`code`, `link`, its `token` and `minutes` for each; the hashes of codes are in the ledger first.
    Nothing is kept where a link cannot be made."""
    moment = now()
    made = {n.id: _minted(runtime.secret_key, n) for n in notifications}
    await verifications.remember(
        runtime.ledger,
        [
            {
                "notification_id": n.id,
                "recipient_key": n.recipient.key,
                "address": (n.recipient.email or n.recipient.phone or "").lower(),
                "code_hash": code_hash(runtime.secret_key, n.id, made[n.id]["code"]),
                "minted_at": moment,
                "expires_at": moment + LIFETIME,
            }
            for n in notifications
        ],
    )
    return made


def _minted(secret_key: bytes, notification: Notification) -> Mapping[str, Any]:
    token = _signer(secret_key).dumps(notification.id.hex)
    return {
        "code": f"{secrets.randbelow(10**DIGITS):0{DIGITS}}",
        "link": with_token(str(notification.data["verify_url"]), token),
        "token": token,
        "minutes": int(LIFETIME.total_seconds() // 60),
    }


def code_hash(secret_key: bytes, id: UUID, code: str) -> bytes:
    """Keyed and bound to its notification: six digits alone could be tried out in a moment."""
    return hmac.digest(secret_key, id.bytes + code.encode(errors="replace"), sha256)


def with_token(page: str, token: str) -> str:
    """`page` with `token` in its query."""
    parts = urlsplit(page)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("token", token)]
    return urlunsplit(parts._replace(query=urlencode(query)))


async def verify(
    ledger: Ledger, secret_key: bytes, recipient: str, code: str, client: str | None = None
) -> Checked:
    """Check `code` for `recipient` (id or address). Five wrong tries end it; it works once. client: whose
    code it has to be."""
    digits = "".join(code.split())
    return await verifications.check_code(
        ledger, recipient, lambda id: code_hash(secret_key, id, digits), client
    )


async def verify_link(ledger: Ledger, secret_key: bytes, token: str, client: str | None = None) -> Checked:
    """Check the `token` of a link. A link and its code are one: either works, once."""
    try:
        id = UUID(_signer(secret_key).loads(token, max_age=int(LIFETIME.total_seconds())))
    except SignatureExpired:
        return Checked.EXPIRED
    except (BadSignature, ValueError):
        return Checked.UNKNOWN
    return await verifications.check_notification(ledger, id, client)


def _signer(secret_key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="waypost.verification")
