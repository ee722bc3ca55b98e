"""Indexes for lists by recipient and for retention; what begins held is an event for webhooks too"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ENDED = "state IN ('sent', 'suppressed', 'expired', 'failed', 'cancelled')"
INDEXES = {
    "ix_notifications_client_recipient": (
        "notifications",
        ["client", "recipient_key", "id"],
        None,
    ),
    "ix_notifications_ended": ("notifications", ["finished_at"], ENDED),
    "ix_batches_told": ("batches", ["ended_at"], "told_at IS NOT NULL"),
    "ix_idempotency_keys_notification_id": ("idempotency_keys", ["notification_id"], None),
    "ix_groups_notification_id": ("groups", ["notification_id"], None),
    "ix_webhook_events_at": ("webhook_events", ["at"], None),
    "ix_webhook_events_failing": ("webhook_events", ["webhook_id", "at"], "tries > 0"),
}
TRIGGER = "waypost_tell_webhooks_of_what_begins_held"
WHEN = "NEW.client IS NOT NULL AND NEW.state = 'held'"
# As UtcDateTime writes a moment on SQLite.
MOMENT = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
FILL = """
INSERT INTO webhook_events (webhook_id, notification_id, type, state, reason, at, due_at, tries)
SELECT id, NEW.id, NEW.type, NEW.state, NEW.reason, {moment}, {moment}, 0 FROM webhooks
WHERE client = NEW.client AND gone_at IS NULL AND states LIKE '%,held,%';
"""


def upgrade() -> None:
    for name, (table, columns, where) in INDEXES.items():
        only = None if where is None else sa.text(where)
        op.create_index(name, table, columns, postgresql_where=only, sqlite_where=only)
    trigger = f"CREATE TRIGGER {TRIGGER} AFTER INSERT ON notifications FOR EACH ROW"
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"{trigger} WHEN ({WHEN}) EXECUTE FUNCTION waypost_tell_webhooks()")
    else:
        op.execute(f"{trigger} WHEN {WHEN} BEGIN {FILL.format(moment=MOMENT)} END")


def downgrade() -> None:
    on = " ON notifications" if op.get_bind().dialect.name == "postgresql" else ""
    op.execute(f"DROP TRIGGER {TRIGGER}{on}")
    for name, (table, _, _) in INDEXES.items():
        op.drop_index(name, table_name=table)
