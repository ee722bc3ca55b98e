"""Batches: one lease a run instead of one a notification; holds and events

What waits goes to the normal lane, also what is of an urgent type or of bulk: the lane of a type stands
in flows/, which no migration reads, and afterwards nothing tells such a row from one whose request asked
for that lane. Only its turn among others is another, until the last of what waited has gone.
"""

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WAITING = "state IN ('accepted', 'deferred')"
IN_HAND = "state IN ('claimed', 'sending')"
TROUBLE = "state IN ('deferred', 'held', 'suppressed', 'expired', 'failed', 'cancelled')"


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=True),
        sa.Column("taken_by", sa.Uuid(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), server_default="", nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    _index("ix_batches_open", "batches", ["leased_until"], "ended_at IS NULL")
    _index("ix_batches_untold", "batches", ["ended_at"], "told_at IS NULL AND ended_at IS NOT NULL")
    op.create_table(
        "holds",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("type", name=op.f("pk_holds")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notifications.id"], name=op.f("fk_events_notification_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_notification_id", "events", ["notification_id"])
    with op.batch_alter_table("attempts") as table:
        table.drop_constraint("fk_attempts_notification_id", type_="foreignkey")
        table.add_column(sa.Column("batch_id", sa.Uuid(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        # An attempt is written twice, before and after the wire: with room on its page the second time
        # touches no index.
        op.execute("ALTER TABLE attempts SET (fillfactor = 60)")
    _move_notifications()


def _move_notifications() -> None:
    """What a run had in hand gets a batch whose lease has lapsed: it comes back like any lost run's."""
    op.drop_index("ix_notifications_active", "notifications")
    op.drop_index("ix_notifications_batch_id", "notifications")
    op.drop_index("ix_notifications_intake_id", "notifications")
    op.add_column("notifications", sa.Column("priority", sa.Text(), server_default="normal", nullable=False))
    op.execute(
        "INSERT INTO batches (id, type, priority, size, owner, created_at, leased_until, taken_at) "
        "SELECT batch_id, min(type), 'normal', count(*), 'an earlier version', min(accepted_at), "
        "min(accepted_at), min(accepted_at) FROM notifications "
        "WHERE state IN ('claimed', 'sending') AND batch_id IS NOT NULL GROUP BY batch_id"
    )
    op.drop_column("notifications", "leased_until")
    _index("ix_notifications_waiting", "notifications", ["type", "priority", "due_at"], WAITING)
    _index("ix_notifications_intake_id", "notifications", ["intake_id"], "intake_id IS NOT NULL")
    _index("ix_notifications_in_hand", "notifications", ["batch_id"], IN_HAND)
    _index("ix_notifications_trouble", "notifications", ["state", "id"], TROUBLE)


def downgrade() -> None:
    raise RuntimeError("leases were moved to batches; restore a backup to go back")
