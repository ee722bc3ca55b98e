"""Recipients have several addresses, and it is known when each was verified

Recipients of before have their main addresses alone, which are not verified.
"""

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database.tables import UtcDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recipient_addresses",
        sa.Column("client", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("stored_key", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("place", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("verified_at", UtcDateTime()),
        sa.Column("added_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("recipient_addresses")
