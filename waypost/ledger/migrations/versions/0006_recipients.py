"""Recipients belong to their client; a notification keeps the address its request named, and how suspect it
is of ending its runs"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


SUSPECTED = sa.text("suspicion > 0 AND state IN ('accepted', 'deferred', 'claimed', 'sending')")


def upgrade() -> None:
    op.add_column(
        "notifications", sa.Column("suspicion", sa.SmallInteger(), nullable=False, server_default="0")
    )
    op.create_index(
        "ix_notifications_suspected",
        "notifications",
        ["suspicion"],
        postgresql_where=SUSPECTED,
        sqlite_where=SUSPECTED,
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_suspected", table_name="notifications")
    op.drop_column("notifications", "suspicion")
