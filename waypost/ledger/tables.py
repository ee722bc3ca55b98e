"""The ledger's tables. Migrations make them; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from waypost.states import State


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment with its zone, on SQLite too (which keeps none): always stored and read as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


Id: sa.types.TypeEngine[UUID] = sa.Uuid()
Json = sa.JSON().with_variant(JSONB(), "postgresql")

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

recipients = sa.Table(
    "recipients",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("timezone", sa.Text),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# Rows in these states still have something to happen to them.
ACTIVE = (State.ACCEPTED, State.DEFERRED, State.CLAIMED, State.SENDING)
_ACTIVE_SQL = sa.text("state IN ('accepted', 'deferred', 'claimed', 'sending')")
_HELD_SQL = sa.text("state = 'held'")

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("recipient_key", sa.Text, sa.ForeignKey("recipients.key"), nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    # How many requests were grouped into it.
    sa.Column("occurrences", sa.Integer, nullable=False, server_default="1"),
    # The batch it was accepted in: unlike batch_id it never changes.
    sa.Column("intake_id", Id),
    # The run that holds it or is meant to; until the lease ends nobody else may take it.
    sa.Column("batch_id", Id),
    sa.Column("leased_until", UtcDateTime),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    # The next step of its route, the attempts made, and those whose answer nobody knows.
    sa.Column("step", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("in_doubt", sa.Integer, nullable=False, server_default="0"),
    # The digest that carries it; from then on it shares that notification's end.
    sa.Column("digest_id", Id, sa.ForeignKey("notifications.id")),
    sa.Index(
        "ix_notifications_active",
        "type",
        "due_at",
        postgresql_where=_ACTIVE_SQL,
        sqlite_where=_ACTIVE_SQL,
    ),
    sa.Index(
        "ix_notifications_held",
        "type",
        "recipient_key",
        postgresql_where=_HELD_SQL,
        sqlite_where=_HELD_SQL,
    ),
    sa.Index("ix_notifications_intake_id", "intake_id"),
    sa.Index("ix_notifications_batch_id", "batch_id"),
    sa.Index(
        "ix_notifications_digest_id",
        "digest_id",
        postgresql_where=sa.text("digest_id IS NOT NULL"),
        sqlite_where=sa.text("digest_id IS NOT NULL"),
    ),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("notification_id", Id, sa.ForeignKey("notifications.id"), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("flow_run_id", Id),
    sa.Column("started_at", UtcDateTime, nullable=False),
    # Unset until the answer is known: an attempt without one is in doubt.
    sa.Column("finished_at", UtcDateTime),
    sa.Column("verdict", sa.Text),
    sa.Column("phase", sa.Text),
    sa.Column("code", sa.Integer),
    sa.Column("enhanced", sa.Text),
    sa.Column("words", sa.Text),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("notification_id", Id, nullable=False),
    sa.Column("body_hash", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

groups = sa.Table(
    "groups",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("notification_id", Id, nullable=False),
    sa.Column("opened_at", UtcDateTime, nullable=False),
)

verifications = sa.Table(
    "verifications",
    metadata,
    sa.Column("notification_id", Id, sa.ForeignKey("notifications.id"), primary_key=True),
    sa.Column("recipient_key", sa.Text, sa.ForeignKey("recipients.key"), nullable=False, index=True),
    # Where the code went, in lower case: what it proves, whatever the recipient's address is later.
    sa.Column("address", sa.Text, nullable=False, index=True),
    sa.Column("code_hash", sa.LargeBinary, nullable=False),
    # Of the code before, when a mail in doubt was sent again: either mail may be the one that arrived.
    sa.Column("earlier_hash", sa.LargeBinary),
    sa.Column("minted_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("wrong_tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("used_at", UtcDateTime),
)
