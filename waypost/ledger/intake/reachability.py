"""Refusing requests that cannot reach their recipient: none of their channels has an address.

Checked at intake, with one lookup of the recipients of all requests that come in together. A request that
names an address itself is not looked up.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from waypost.ledger.intake import idempotency
from waypost.ledger.intake.candidate import Candidate
from waypost.ledger.records.recipients import addresses_of
from waypost.model.notification import ADDRESSED_BY
from waypost.model.receipt import IntakeResult, Receipt


def refuse_unreachable(connection: sa.Connection, candidates: Sequence[Candidate]) -> None:
    """Refuse the open `candidates` that have no address for any of their channels: not in the request, not on
    record, not in another of `candidates`. Their idempotency keys are free again."""
    fresh = [one for one in candidates if one.open]
    doubtful = [(one, lacks) for one in fresh if (lacks := lacking(one))]
    if not doubtful:
        return
    wanted = {one.recipient for one, _ in doubtful}
    known = {
        who: {"email": row.email, "phone": row.phone} for who, row in addresses_of(connection, wanted).items()
    }
    for one in fresh:
        if one.recipient in wanted:
            known.setdefault(one.recipient, {}).update(one.named)
    for one, lacks in doubtful:
        if not any(known.get(one.recipient, {}).get(field) for field in lacks):
            one.receipt = Receipt(IntakeResult.REFUSED, one.id, None, _why(lacks))
    refused = [key for one, _ in doubtful if one.receipt is not None and (key := one.key)]
    idempotency.free(connection, refused)


def lacking(candidate: Candidate) -> tuple[str, ...]:
    """The recipient fields of which the request needs one and names none; empty when any channel can go."""
    needed: list[str] = []
    for kind in candidate.type.kinds_of(candidate.request.channels):
        field = ADDRESSED_BY.get(kind)
        if field is None or field in candidate.named:
            return ()
        needed.append(field)
    return tuple(needed)


def _why(lacks: Sequence[str]) -> str:
    field = f"recipient.{lacks[0]}" if len(lacks) == 1 else "recipient"
    return (
        f"{field}: give {' or '.join(lacks)}: the recipient has none on record, and every channel of this "
        "notification needs it"
    )
