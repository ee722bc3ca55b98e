"""Recipients have attributes: values of the application's own

Recipients of before have none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recipients", sa.Column("attributes", sa.JSON()))


def downgrade() -> None:
    op.drop_column("recipients", "attributes")
