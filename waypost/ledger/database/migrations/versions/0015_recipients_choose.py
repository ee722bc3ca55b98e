"""Recipients choose what they get, addresses are suppressed, and an attempt has the rule that allowed it

Nobody has chosen anything before, and no address is suppressed. Attempts of before have no rule.
"""

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database.tables import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

EXPIRES = sa.text("expires_at IS NOT NULL")


def upgrade() -> None:
    op.add_column(
        "recipients", sa.Column("link_generation", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("attempts", sa.Column("rule", sa.Text()))
    op.add_column("api_keys", sa.Column("only_to", sa.JSON()))
    op.create_table(
        "preferences",
        sa.Column("client", sa.Text(), primary_key=True),
        sa.Column("recipient_key", sa.Text(), primary_key=True),
        sa.Column("category", sa.Text(), primary_key=True),
        sa.Column("cadence", sa.Text(), nullable=False),
        sa.Column("channels", sa.JSON()),
        sa.Column("confirmed_at", UtcDateTime()),
        sa.Column("evidence", sa.Text(), nullable=False, server_default=""),
        sa.Column("chosen_by", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "suppressions",
        sa.Column("address", sa.Text(), primary_key=True),
        sa.Column("client", sa.Text(), primary_key=True),
        sa.Column("scope", sa.Text(), primary_key=True),
        sa.Column("cause", sa.Text(), primary_key=True),
        sa.Column("evidence", sa.Text(), nullable=False, server_default=""),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime()),
    )
    op.create_index(
        "ix_suppressions_expires_at",
        "suppressions",
        ["expires_at"],
        postgresql_where=EXPIRES,
        sqlite_where=EXPIRES,
    )
    op.create_index("ix_suppressions_client", "suppressions", ["client", "address"])
    op.create_table(
        "soft_bounces",
        sa.Column("address", sa.Text(), primary_key=True),
        sa.Column("notification_id", sa.Uuid(), primary_key=True),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_soft_bounces_at", "soft_bounces", ["at"])


def downgrade() -> None:
    op.drop_table("soft_bounces")
    op.drop_table("suppressions")
    op.drop_table("preferences")
    op.drop_column("api_keys", "only_to")
    op.drop_column("attempts", "rule")
    op.drop_column("recipients", "link_generation")
