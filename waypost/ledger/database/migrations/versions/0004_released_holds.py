"""Holds that are over: what waited for them can tell so

Beside the holds in force, which every claim looks at.
"""

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "released_holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("released_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_released_holds")),
    )
    op.create_index("ix_released_holds_type_released_at", "released_holds", ["type", "released_at"])


def downgrade() -> None:
    op.drop_table("released_holds")
