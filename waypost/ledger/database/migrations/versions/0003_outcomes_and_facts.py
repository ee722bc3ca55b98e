"""Room for outcomes, and facts as they came

An attempt is written before its message touches the wire and once more after it. With room beside it the
second time needs no new entries in the indexes (PostgreSQL's heap-only tuples). SQLite writes in place.

Facts are only ever read whole: as JSON they are text, as JSONB they were taken apart and put together again.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE attempts SET (fillfactor = 50)")
        op.execute("ALTER TABLE notifications ALTER COLUMN data TYPE JSON")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE notifications ALTER COLUMN data TYPE JSONB")
        op.execute("ALTER TABLE attempts RESET (fillfactor)")
