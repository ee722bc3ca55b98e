"""The hashes of codes that were sent, and the checking of one."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from waypost.clock import now
from waypost.ledger.engine import Ledger
from waypost.ledger.tables import notifications, recipients, verifications

WRONG_TRIES_ALLOWED = 5


Hasher = Callable[[UUID], bytes]


class Checked(StrEnum):
    """What checking a code or link found."""

    VERIFIED = "verified"  # right, and used up by this check
    WRONG = "wrong"  # not the code; it may be tried again
    ENDED = "ended"  # five wrong tries: a new code is needed
    EXPIRED = "expired"  # right or wrong no longer matters
    USED = "used"  # it worked once already
    UNKNOWN = "unknown"  # nothing was sent to that recipient, or no such link


async def remember(ledger: Ledger, rows: Sequence[dict[str, Any]]) -> None:
    """Keep freshly minted codes: notification_id, recipient_key, address, code_hash, minted_at, expires_at.

    A notification rendered again gets a new code; the one before it still counts, as that mail may be the
    one that arrived.
    """
    if not rows:
        return
    insert = ledger.insert(verifications)
    upsert = insert.on_conflict_do_update(
        index_elements=[verifications.c.notification_id],
        set_={
            # Written twice, because an answer was lost, it is still the same code.
            "earlier_hash": sa.case(
                (verifications.c.code_hash == insert.excluded.code_hash, verifications.c.earlier_hash),
                else_=verifications.c.code_hash,
            ),
            "address": insert.excluded.address,
            "code_hash": insert.excluded.code_hash,
            "minted_at": insert.excluded.minted_at,
            "expires_at": insert.excluded.expires_at,
        },
    )
    await ledger.persist(lambda connection: connection.execute(upsert, list(rows)))


async def check_code(ledger: Ledger, recipient: str, code_hash: Hasher, client: str | None = None) -> Checked:
    """Check the newest code sent to `recipient`.

    An address is proved by a code that went to it; an id by one that went to the address it still has.
    client: whose code it has to be; None, whoever asked for it.
    """
    wanted = (
        verifications.c.address == recipient.lower()
        if "@" in recipient
        else sa.and_(
            verifications.c.recipient_key == recipient,
            verifications.c.address
            == sa.func.coalesce(sa.func.lower(recipients.c.email), recipients.c.phone),
        )
    )
    newest = (
        sa.select(verifications)
        .join(recipients, recipients.c.key == verifications.c.recipient_key)
        .where(wanted, *_own(client))
        .order_by(verifications.c.minted_at.desc())
        .limit(1)
    )
    return await _check(ledger, newest, lambda row: code_hash(row.notification_id))


async def check_notification(ledger: Ledger, id: UUID, client: str | None = None) -> Checked:
    """Check a link whose signature named `id`: it works if its code would still."""
    chosen = sa.select(verifications).where(verifications.c.notification_id == id, *_own(client))
    return await _check(ledger, chosen, lambda row: row.code_hash)


def _own(client: str | None) -> list[sa.ColumnElement[bool]]:
    """Whether the notification that carried it was this client's."""
    if client is None:
        return []
    carried = notifications.c.id == verifications.c.notification_id
    return [sa.exists().where(carried, notifications.c.client == client)]


async def _check(ledger: Ledger, query: sa.Select[Any], expected: Callable[[sa.Row[Any]], bytes]) -> Checked:
    def work(connection: sa.Connection) -> tuple[sa.Row[Any] | None, Checked]:
        row = connection.execute(query.with_for_update(of=verifications)).one_or_none()
        found = _judge(row, expected(row) if row else b"", now())
        if row is not None and found in (Checked.VERIFIED, Checked.WRONG):
            change = {"used_at": now()} if found is Checked.VERIFIED else {"wrong_tries": row.wrong_tries + 1}
            connection.execute(
                sa.update(verifications)
                .where(verifications.c.notification_id == row.notification_id)
                .values(**change)
            )
        return row, found

    row, found = await ledger.write(work)
    if found is Checked.WRONG and row is not None and row.wrong_tries + 1 >= WRONG_TRIES_ALLOWED:
        return Checked.ENDED
    return found


def _judge(row: Any, offered: bytes, moment: datetime) -> Checked:
    if row is None:
        return Checked.UNKNOWN
    if row.used_at is not None:
        return Checked.USED
    if row.wrong_tries >= WRONG_TRIES_ALLOWED:
        return Checked.ENDED
    if moment >= row.expires_at:
        return Checked.EXPIRED
    known = (row.code_hash, row.earlier_hash or row.code_hash)
    return Checked.VERIFIED if any(hmac.compare_digest(hash, offered) for hash in known) else Checked.WRONG
