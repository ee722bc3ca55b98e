"""Room for the outcome of an attempt on the page of its row

An attempt is written before its message touches the wire and once more after it. With room beside it the
second time needs no new entries in the indexes (PostgreSQL's heap-only tuples). SQLite writes in place.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE attempts SET (fillfactor = 50)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE attempts RESET (fillfactor)")
