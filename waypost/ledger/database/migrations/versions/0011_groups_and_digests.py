"""A group knows what its notification says; what waits for a digest is found by its deadline

Groups that are open at the upgrade count as having said nothing: the next request of each is sent by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("groups", sa.Column("status", sa.Text(), nullable=False, server_default=""))
    op.add_column("groups", sa.Column("level", sa.Integer(), nullable=False, server_default="0"))
    held = sa.text("state = 'held' AND reason = 'digest'")
    op.create_index(
        "ix_notifications_for_digest",
        "notifications",
        ["expires_at"],
        postgresql_where=held,
        sqlite_where=held,
    )


def downgrade() -> None:
    op.drop_index("ix_notifications_for_digest", table_name="notifications")
    op.drop_column("groups", "level")
    op.drop_column("groups", "status")
