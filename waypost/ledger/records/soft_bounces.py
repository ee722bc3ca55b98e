"""Addresses whose mail servers did not take a notification until it ended.

Three within 30 days suppress the address for a week; a mail that is taken forgets them. A row for each
notification that ended so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa

from waypost.ledger.database.bulk import do_nothing, in_texts, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.sealing import stored_key
from waypost.ledger.database.steps import delete_in_steps
from waypost.ledger.database.tables import soft_bounces, suppressions
from waypost.ledger.records.suppressions import add_suppressions
from waypost.mail.address import url_of
from waypost.model.suppression import Cause, Suppression
from waypost.policy.bounces import FEWEST, REST, WITHIN
from waypost.system.clock import now


def note(connection: sa.Connection, ended: Sequence[tuple[str, UUID]]) -> None:
    """Note for each notification that ended the address that did not take it, and suppress addresses that
    have too many. Safe to repeat."""
    if not ended:
        return
    moment, keyed = now(), [(stored_key(connection, url_of(address)), address, id) for address, id in ended]
    known = {key: address for key, address, _ in keyed}
    rows = {(key, id) for key, _, id in keyed}
    insert_many(
        connection,
        soft_bounces,
        [{"address": key, "notification_id": id, "at": moment} for key, id in sorted(rows)],
        on_conflict=do_nothing,
    )
    table, counted = soft_bounces.c, sa.func.count()
    wanted = (
        sa.select(table.address, counted)
        .where(in_texts(table.address, known), table.at > moment - WITHIN)
        .group_by(table.address)
        .having(counted >= FEWEST)
        .order_by(table.address)
    )
    found = connection.execute(wanted).all()
    add_suppressions(connection, [_suppression(known[key], count) for key, count in found])


def _suppression(address: str, count: int) -> Suppression:
    return Suppression(
        address=address,
        cause=Cause.SOFT_BOUNCE,
        evidence=f"{count} notifications within {WITHIN.days} days were not taken",
        expires_at=now() + REST,
    )


def known(connection: sa.Connection, urls: Mapping[str, str]) -> set[str]:
    """The addresses that have soft bounces, as URLs. urls: those asked for, by the ledger's key of each."""
    if not urls:
        return set()
    return {urls[key] for key in connection.scalars(_KNOWN, {"addresses": list(urls)})}


_KNOWN = sa.select(soft_bounces.c.address).where(in_texts(soft_bounces.c.address, "addresses")).distinct()


def forget(connection: sa.Connection, addresses: Collection[str]) -> None:
    """Forget the soft bounces of addresses that took a mail, and lift what followed from them."""
    if not addresses:
        return
    urls = sorted({stored_key(connection, url_of(address)) for address in addresses})
    connection.execute(sa.delete(soft_bounces).where(in_texts(soft_bounces.c.address, urls)))
    theirs = in_texts(suppressions.c.address, urls), suppressions.c.cause == Cause.SOFT_BOUNCE
    connection.execute(sa.delete(suppressions).where(*theirs))


async def delete_old(ledger: Ledger) -> int:
    """Delete the soft bounces that no longer count. Returns how many."""
    return await delete_in_steps(ledger, soft_bounces, soft_bounces.c.at <= now() - WITHIN)
