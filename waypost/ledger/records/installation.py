"""What all processes on one ledger must agree on: the key of codes, links and webhooks' secrets.

The ledger keeps a fingerprint of the key. A process with another key would reject correct codes.
"""

from __future__ import annotations

import hmac

import sqlalchemy as sa

from waypost.ledger.database import tolerant
from waypost.ledger.database.bulk import do_nothing, insert_many
from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import batches, installation
from waypost.ledger.database.unreachable import OtherKey
from waypost.system.clock import now

_KEY = "secret key"
_KEPT = sa.select(installation.c.value).where(installation.c.name == _KEY)


def fingerprint(secret_key: bytes) -> str:
    """32 hexadecimal digits that tell two keys apart and give neither away (HMAC-SHA-256)."""
    return hmac.digest(secret_key, b"fingerprint of the secret key", "sha256").hex()[:32]


async def check_key(ledger: Ledger, secret_key: bytes) -> None:
    """Raise OtherKey unless `secret_key` is the ledger's. The first key that is checked becomes it. Raise
    OtherDataKey unless this process can read the ledger's personal data."""
    known = await ledger.read(_known)
    if known is None:
        await ledger.write(lambda connection: require_key(connection, secret_key))
    elif known != fingerprint(secret_key):
        raise OtherKey
    await ledger.read(ledger.sealing.check)


def require_key(connection: sa.Connection, secret_key: bytes) -> None:
    """Like `check_key`, in a transaction that writes. The key cannot change before the transaction
    ends."""
    mine = fingerprint(secret_key)
    if (_locked(connection) or _keep(connection, mine)) != mine:
        raise OtherKey


async def is_key(ledger: Ledger, secret_key: bytes) -> bool:
    """Whether `secret_key` is the ledger's, or the ledger has none yet."""
    return await ledger.read(_known) in (None, fingerprint(secret_key))


async def change_key(ledger: Ledger, secret_key: bytes) -> None:
    """Make `secret_key` the ledger's. Codes and links of the old key are invalid from then on."""
    mine = fingerprint(secret_key)

    def work(connection: sa.Connection) -> None:
        _keep(connection, mine)
        change = sa.update(installation).where(installation.c.name == _KEY)
        connection.execute(change.values(value=mine))

    await ledger.write(work)


async def at_work(ledger: Ledger) -> list[str]:
    """The processes that hold live leases of open batches: host and pid."""
    kept = sa.and_(batches.c.ended_at.is_(None), batches.c.leased_until > now())
    wanted = sa.select(*tolerant.raw(batches.c.owner)).where(kept).distinct().order_by(batches.c.owner)
    rows = await ledger.read(lambda connection: tolerant.read(connection, wanted))
    return [tolerant.text(row.owner) for row in rows]


def _known(connection: sa.Connection) -> str | None:
    return connection.scalar(_KEPT)


def _locked(connection: sa.Connection) -> str | None:
    """The stored fingerprint, locked until this transaction ends. SQLite has one writer anyway."""
    return connection.scalar(_KEPT.with_for_update(read=True))


def _keep(connection: sa.Connection, mine: str) -> str | None:
    """Store `mine` unless another process was first. Returns the stored fingerprint."""
    insert_many(connection, installation, [{"name": _KEY, "value": mine}], on_conflict=do_nothing)
    return _locked(connection)
