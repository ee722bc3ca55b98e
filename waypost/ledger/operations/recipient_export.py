"""Exporting a recipient: everything that is kept of it, its notifications a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import ValidationError

from waypost.ledger.database import sealing, tolerant
from waypost.ledger.database.bulk import in_ids
from waypost.ledger.database.dialect import is_postgres
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import Sealing, is_address_in_clear
from waypost.ledger.database.steps import portions, read_bytes
from waypost.ledger.database.tables import IN_HAND, NOT_IN_HAND, attempts, notifications, tags
from waypost.ledger.records import preferences, recipients, suppressions
from waypost.ledger.records.recipients import whose_are
from waypost.ledger.records.suppressions import Which
from waypost.mail.address import folded
from waypost.model.brand import DEFAULT
from waypost.model.notification_type import NotificationType
from waypost.model.sensitive import may_have_sensitive
from waypost.model.sensitive_values import without_sensitive
from waypost.model.suppression import EVERY_CLIENT

PAGE = 200  # notifications, fewer if their facts are long

Types = Mapping[str, NotificationType]


async def about(ledger: Ledger, key: str, client: str = "") -> dict[str, Any] | None:
    """What is kept of a recipient beside its notifications: its profile, what it chose, and the suppressions
    of its addresses that stop mail of `client`. The profile is None once the recipient was forgotten, or if
    it never had any field. Returns None if nothing at all is kept, no notification either."""
    profile = await recipients.get(ledger, key, client)
    chosen = await preferences.choices(ledger, client, key)
    if profile is None and not chosen and not await _has_notification(ledger, key, client):
        return None
    stops = [
        suppressions.described(one)
        for address in _addresses(key, profile)
        for one in (await suppressions.page(ledger, Which(address, (client, EVERY_CLIENT))))[0]
    ]
    return {
        "recipient": profile,
        "preferences": {str(category): preferences.described(one) for category, one in chosen.items()},
        "suppressions": stops,
    }


async def _has_notification(ledger: Ledger, key: str, client: str) -> bool:
    stored = await ledger.stored_key(key)
    return bool(await ledger.read(partial(_ids, client=client, key=stored, after=None, limit=1)))


def _addresses(key: str, profile: Mapping[str, Any] | None) -> list[str]:
    """The addresses of a recipient, each once."""
    known = [one["address"] for one in profile["addresses"]] if profile else []
    named = [key.partition(":")[2]] if is_address_in_clear(key) else []
    return list(dict.fromkeys(folded(one) for one in [*known, *named]))


async def each_notification(
    ledger: Ledger, key: str, types: Types, client: str = ""
) -> AsyncGenerator[dict[str, Any]]:
    """Every notification to a recipient, the newest first, read a page at a time."""
    after: UUID | None = None
    while True:
        found, after = await page(ledger, key, types, client, after)
        for one in found:
            yield one
        if after is None:
            return


async def page(
    ledger: Ledger, key: str, types: Types, client: str = "", after: UUID | None = None, limit: int = PAGE
) -> tuple[list[dict[str, Any]], UUID | None]:
    """The notifications to a recipient that follow `after`, the newest first, at most `limit`, and the id to
    continue with; None on the last page. A page has fewer of them if their facts are long."""
    stored = await ledger.stored_key(key)
    return await ledger.browse(
        partial(_page, client=client, key=stored, types=types, after=after, limit=limit)
    )


def _page(
    connection: sa.Connection, *, client: str, key: str, types: Types, after: UUID | None, limit: int
) -> tuple[list[dict[str, Any]], UUID | None]:
    found = _ids(connection, client, key, after, limit + 1)
    if not found:
        return [], None
    ours = portions(found[:limit], lambda row: row[1])[0]
    ids = [id for id, _ in ours]
    return _read(connection, ids, types), ids[-1] if len(found) > len(ids) else None


def _ids(
    connection: sa.Connection, client: str, key: str, after: UUID | None, limit: int
) -> list[tuple[UUID, int]]:
    """The newest ids, with the bytes of their facts. Two lookups: PostgreSQL's index has no claimed rows."""
    table = notifications.c
    size = read_bytes(is_postgres(connection)).label("bytes")
    earlier = [] if after is None else [table.id < after]
    looks = [
        sa.select(table.id, size)
        .where(whose_are(client, key), state, *earlier)
        .order_by(table.id.desc())
        .limit(limit)
        .subquery()
        for state in (NOT_IN_HAND, IN_HAND)
    ]
    both = sa.union_all(*(sa.select(look) for look in looks)).subquery()
    wanted = sa.select(*tolerant.raw(both.c.id), both.c.bytes).order_by(both.c.id.desc()).limit(limit)
    rows = ((tolerant.identity(id), bytes) for id, bytes in tolerant.read(connection, wanted))
    return [(id, bytes) for id, bytes in rows if isinstance(id, UUID)]


def _read(connection: sa.Connection, ids: Sequence[UUID], types: Types) -> list[dict[str, Any]]:
    """A row that cannot be read is left out, and logged."""
    box, table = sealing.of(connection), notifications.c
    wanted = sa.select(notifications).where(in_ids(table.id, ids)).order_by(table.id.desc())
    rows = tolerant.each(connection, wanted, [table.id], partial(box.row, notifications)).good
    tried, tagged = _attempts(connection, box, ids), _tags(connection, ids)
    return [_notification(row, types, tried[row.id], tagged[row.id]) for row in rows]


def _attempts(
    connection: sa.Connection, box: Sealing, ids: Sequence[UUID]
) -> Mapping[UUID, list[dict[str, Any]]]:
    of = attempts.c.notification_id
    wanted = sa.select(attempts).where(in_ids(of, ids)).order_by(attempts.c.started_at, attempts.c.id)
    found: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in tolerant.each(connection, wanted, [attempts.c.id], partial(box.row, attempts)).good:
        found[row.notification_id].append(
            {
                "number": row.number,
                "channel": row.channel,
                "provider": row.provider,
                "started_at": row.started_at,
                "finished_at": row.finished_at,
                "verdict": row.verdict,
                "code": row.code,
                "said": row.words or "",
            }
        )
    return found


def _tags(connection: sa.Connection, ids: Sequence[UUID]) -> Mapping[UUID, list[str]]:
    of = tags.c.notification_id
    wanted = sa.select(tags).where(in_ids(of, ids)).order_by(tags.c.tag)
    found: defaultdict[UUID, list[str]] = defaultdict(list)
    for row in tolerant.each(connection, wanted, list(tags.primary_key), lambda row: row).good:
        found[row.notification_id].append(row.tag)
    return found


def _notification(
    row: Any, types: Types, tried: Iterable[dict[str, Any]], tagged: Iterable[str]
) -> dict[str, Any]:
    type = types.get(row.type)
    return {
        "id": str(row.id),
        "type": row.type,
        "category": type and str(type.category),
        "brand": row.brand or DEFAULT,
        "state": row.state,
        "reason": row.reason,
        "count": row.occurrences,
        "accepted_at": row.accepted_at,
        "due_at": row.due_at,
        "expires_at": row.expires_at,
        "finished_at": row.finished_at,
        "recipient": row.named or {},
        "tags": list(tagged),
        "data": _facts(row.data, type),
        "attempts": list(tried),
    }


def _facts(data: Any, type: NotificationType | None) -> Any:
    """The facts, with placeholders for sensitive ones; None if the type does not tell which these are."""
    if not data or (type is not None and not may_have_sensitive(type.facts)):
        return data
    if type is None:
        return None
    try:
        facts = type.facts.model_validate(data)
    except ValidationError:
        return None
    return without_sensitive(facts).model_dump(mode="json", round_trip=True)
