"""A notification has a brand, and an API key may have one

Notifications and keys of before have none: they are of the default brand, and for any brand.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLES = ("notifications", "api_keys")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("brand", sa.Text()))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "brand")
