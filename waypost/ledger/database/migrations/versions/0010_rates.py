"""A provider's rate, counted in the ledger for all processes"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
SECONDS: sa.types.TypeEngine[float] = sa.Double()


def upgrade() -> None:
    op.create_table(
        "rates",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("free_at", SECONDS, nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_rates")),
    )


def downgrade() -> None:
    op.drop_table("rates")
