"""Room on the pages of tables whose rows are changed soon after they are written

PostgreSQL writes a changed row anew. Where its page has room, the new version goes there: an attempt's
outcome changes no index, the write-ahead log has the difference alone, and the file grows less. Pages that
are full already stay so.
"""

from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = ("notifications", "attempts")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
