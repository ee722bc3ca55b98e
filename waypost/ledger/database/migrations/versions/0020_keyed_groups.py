"""The keys of groups are hashed with the ledger's key: what they were made of cannot be found by trial

The hashes of idempotency keys are replaced as keys are used: both forms count.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database import sealing, tolerant

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

AT_ONCE = 5000
_KEYS = sa.text("SELECT key FROM groups")
_KEYED = sa.text("UPDATE groups SET key = :made WHERE key = :key")


def upgrade() -> None:
    connection = op.get_bind()
    changes = list(_changes(connection))
    for at in range(0, len(changes), AT_ONCE):
        connection.execute(_KEYED, changes[at : at + AT_ONCE])


def _changes(connection: sa.Connection) -> Iterator[dict[str, bytes]]:
    box = sealing.of(connection)
    with tolerant.forgiving(connection):
        keys = connection.scalars(_KEYS).all()
    for key in keys:
        if isinstance(key, bytes):
            yield {"key": key, "made": box.keyed(connection, key)}


def downgrade() -> None:
    """A hash cannot be undone: each group opens anew with its next request."""
    op.execute("DELETE FROM groups")
