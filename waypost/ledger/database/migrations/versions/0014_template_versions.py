"""An attempt has the version of the templates that rendered its message

Attempts of before have none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("template_version", sa.Text()))


def downgrade() -> None:
    op.drop_column("attempts", "template_version")
