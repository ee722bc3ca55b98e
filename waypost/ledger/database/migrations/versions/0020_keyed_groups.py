"""Hashes of groups and of bodies are made with the ledger's key: what they are of cannot be found by trial"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database import sealing, tolerant

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

AT_ONCE = 5000
PLAIN = 32  # octets of a digest without a key; a ledger that comes back from an older version has keyed ones
_KEYS = sa.text("SELECT key FROM groups")
_KEYED = sa.text("UPDATE groups SET key = :made WHERE key = :key")
# The bodies of requests under idempotency keys, a page of keys at a time.
_BODIES = sa.text(
    "SELECT client, key, body_hash FROM idempotency_keys WHERE (client, key) > (:client, :key) "
    "ORDER BY client, key LIMIT :most"
)
_BODY_KEYED = sa.text("UPDATE idempotency_keys SET body_hash = :made WHERE client = :client AND key = :key")


def upgrade() -> None:
    connection = op.get_bind()
    changes = list(_changes(connection))
    for at in range(0, len(changes), AT_ONCE):
        connection.execute(_KEYED, changes[at : at + AT_ONCE])
    last = {"client": "", "key": ""}
    while page := _page(connection, last):
        _key_bodies(connection, page)
        last = {"client": page[-1].client, "key": page[-1].key}


def _page(connection: sa.Connection, last: dict[str, str]) -> Sequence[sa.Row[Any]]:
    with tolerant.forgiving(connection):
        return connection.execute(_BODIES, {**last, "most": AT_ONCE}).all()


def _key_bodies(connection: sa.Connection, page: Sequence[sa.Row[Any]]) -> None:
    """An empty hash is of a recipient who was forgotten, and stays."""
    box = sealing.of(connection)
    changes = [
        {"client": row.client, "key": row.key, "made": box.keyed(connection, row.body_hash)}
        for row in page
        if isinstance(row.body_hash, bytes) and len(row.body_hash) == PLAIN
    ]
    if changes:
        connection.execute(_BODY_KEYED, changes)


def _changes(connection: sa.Connection) -> Iterator[dict[str, bytes]]:
    box = sealing.of(connection)
    with tolerant.forgiving(connection):
        keys = connection.scalars(_KEYS).all()
    for key in keys:
        if isinstance(key, bytes) and len(key) == PLAIN:
            yield {"key": key, "made": box.keyed(connection, key)}


def downgrade() -> None:
    """A hash cannot be undone: each group opens anew with its next request, and a request that is repeated
    under its idempotency key is a conflict, which sends nothing twice."""
    op.execute("DELETE FROM groups")
