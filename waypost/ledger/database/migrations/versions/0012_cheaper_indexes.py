"""Two indexes cost a send less

The index of ended notifications asks for no state. On PostgreSQL, the index of recipients leaves out claimed
rows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "notifications"
NOT_IN_HAND = "state NOT IN ('claimed', 'sending')"
ENDED = "state IN ('sent', 'suppressed', 'expired', 'failed', 'cancelled')"


def upgrade() -> None:
    _replace(ended="finished_at IS NOT NULL", recipients=NOT_IN_HAND)


def downgrade() -> None:
    _replace(ended=ENDED, recipients=None)


def _replace(ended: str, recipients: str | None) -> None:
    op.drop_index("ix_notifications_ended", table_name=TABLE)
    where = sa.text(ended)
    op.create_index(
        "ix_notifications_ended", TABLE, ["finished_at"], postgresql_where=where, sqlite_where=where
    )
    if op.get_bind().dialect.name == "postgresql":
        name, columns = "ix_notifications_client_recipient", ["client", "recipient_key", "id"]
        op.drop_index(name, table_name=TABLE)
        only = None if recipients is None else sa.text(recipients)
        op.create_index(name, TABLE, columns, postgresql_where=only)
