"""What all processes on one ledger must agree on: the key of codes, links and webhooks' secrets.

The ledger keeps a fingerprint of the key. A process with another key would call right codes wrong.
"""

from __future__ import annotations

import hmac

import sqlalchemy as sa

from waypost.ledger.engine import Ledger
from waypost.ledger.tables import installation

_KEY = "secret key"


class OtherKey(RuntimeError):
    """This process's secret key is not the ledger's. Says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "the secret key is not the key that this ledger's codes, links and webhooks are made with: set "
            "WAYPOST_SECRET_KEY to the same text wherever Waypost runs, or, if the key was changed on "
            "purpose, stop every process of Waypost and run `waypost db change-key`"
        )


def fingerprint(secret_key: bytes) -> str:
    """32 hexadecimal digits that tell two keys apart and give neither away (HMAC-SHA-256)."""
    return hmac.digest(secret_key, b"fingerprint of the secret key", "sha256").hex()[:32]


async def check_key(ledger: Ledger, secret_key: bytes) -> None:
    """Raise OtherKey unless `secret_key` is the ledger's. The first key that is checked becomes it."""
    mine = fingerprint(secret_key)
    known = await ledger.read(_known) or await ledger.write(
        lambda connection: _keep(ledger, connection, mine)
    )
    if known != mine:
        raise OtherKey


async def is_key(ledger: Ledger, secret_key: bytes) -> bool:
    """Whether `secret_key` is the ledger's, or the ledger has none yet."""
    return await ledger.read(_known) in (None, fingerprint(secret_key))


async def change_key(ledger: Ledger, secret_key: bytes) -> None:
    """Make `secret_key` the ledger's. Codes and links of the key before are wrong from then on."""
    mine = fingerprint(secret_key)

    def work(connection: sa.Connection) -> None:
        _keep(ledger, connection, mine)
        change = sa.update(installation).where(installation.c.name == _KEY)
        connection.execute(change.values(value=mine))

    await ledger.write(work)


def _known(connection: sa.Connection) -> str | None:
    return connection.scalar(sa.select(installation.c.value).where(installation.c.name == _KEY))


def _keep(ledger: Ledger, connection: sa.Connection, mine: str) -> str | None:
    """Keep it unless another process was first; what is kept then."""
    connection.execute(ledger.insert(installation).values(name=_KEY, value=mine).on_conflict_do_nothing())
    return _known(connection)
