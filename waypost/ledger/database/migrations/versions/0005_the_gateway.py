"""The gateway: clients and their keys, tags, a choice of channels, and webhooks that tell of states

An idempotency key is its client's: what came without one keeps the empty client.
"""

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database.tables import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TOLD = "'sent', 'deferred', 'held', 'suppressed', 'expired', 'failed', 'cancelled'"

FILL = """
INSERT INTO webhook_events (webhook_id, notification_id, type, state, reason, at, due_at, tries)
SELECT id, NEW.id, NEW.type, NEW.state, NEW.reason, {moment}, {moment}, 0 FROM webhooks
WHERE client = NEW.client AND gone_at IS NULL AND states LIKE '%,' || NEW.state || ',%';
"""
WHEN = f"NEW.client IS NOT NULL AND NEW.state <> OLD.state AND NEW.state IN ({TOLD})"


def upgrade() -> None:
    op.add_column("notifications", sa.Column("client", sa.Text()))
    op.add_column("notifications", sa.Column("channels", sa.JSON()))
    where = sa.text("client IS NOT NULL")
    op.create_index(
        "ix_notifications_client",
        "notifications",
        ["client", "id"],
        postgresql_where=where,
        sqlite_where=where,
    )
    _give_keys_a_client()
    op.create_table(
        "tags",
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tag", "notification_id", name=op.f("pk_tags")),
    )
    op.create_index("ix_tags_notification_id", "tags", ["notification_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("rate", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index("ix_api_keys_client", "api_keys", ["client"])
    _make_webhooks()


_BEGAN = sa.Column("began", sa.Text(), server_default="accepted", nullable=False)


def _give_keys_a_client() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("idempotency_keys", sa.Column("client", sa.Text(), server_default="", nullable=False))
        op.add_column("idempotency_keys", _BEGAN)
        op.drop_constraint("pk_idempotency_keys", "idempotency_keys")
        op.create_primary_key("pk_idempotency_keys", "idempotency_keys", ["client", "key"])
        return
    op.rename_table("idempotency_keys", "idempotency_keys_before")
    op.create_table(
        "idempotency_keys",
        sa.Column("client", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        _BEGAN,
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("client", "key", name=op.f("pk_idempotency_keys")),
    )
    op.execute(
        "INSERT INTO idempotency_keys (key, notification_id, body_hash, created_at) "
        "SELECT key, notification_id, body_hash, created_at FROM idempotency_keys_before"
    )
    op.drop_table("idempotency_keys_before")


def _make_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("states", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("overlap_until", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("gone_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index("ix_webhooks_client", "webhooks", ["client"])
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
    )
    op.create_index("ix_webhook_events_webhook_id_due_at", "webhook_events", ["webhook_id", "due_at"])
    if op.get_bind().dialect.name == "postgresql":
        fill = FILL.format(moment="clock_timestamp()")
        op.execute(
            "CREATE FUNCTION waypost_tell_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN {fill} IF FOUND THEN PERFORM pg_notify('waypost_webhooks', ''); END IF; "
            "RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER waypost_tell_webhooks AFTER UPDATE OF state ON notifications FOR EACH ROW "
            f"WHEN ({WHEN}) EXECUTE FUNCTION waypost_tell_webhooks()"
        )
    else:
        # As UtcDateTime writes a moment here.
        fill = FILL.format(moment="strftime('%Y-%m-%d %H:%M:%f000', 'now')")
        op.execute(
            "CREATE TRIGGER waypost_tell_webhooks AFTER UPDATE OF state ON notifications FOR EACH ROW "
            f"WHEN {WHEN} BEGIN {fill} END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER waypost_tell_webhooks ON notifications")
        op.execute("DROP FUNCTION waypost_tell_webhooks")
    else:
        op.execute("DROP TRIGGER waypost_tell_webhooks")
    for table in ("webhook_events", "webhooks", "api_keys", "tags"):
        op.drop_table(table)
    op.drop_index("ix_notifications_client", "notifications")
    with op.batch_alter_table("notifications") as table:
        table.drop_column("channels")
        table.drop_column("client")
    op.execute("DELETE FROM idempotency_keys WHERE client <> ''")
    with op.batch_alter_table("idempotency_keys") as table:
        table.drop_constraint("pk_idempotency_keys", type_="primary")
        table.create_primary_key("pk_idempotency_keys", ["key"])
        table.drop_column("began")
        table.drop_column("client")
