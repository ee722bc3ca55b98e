"""The ledger's tables. Migrations make them; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment with its zone, on SQLite too (which keeps none): always stored and read as UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """On SQLite a moment is written out as text, once for all rows that share it."""
        write = super().bind_processor(dialect)
        if write is None or dialect.name != "sqlite":
            return write
        kept = lru_cache(64)(write)

        def written(value: datetime | None) -> Any:
            # Asked in UTC alone: where clocks are put back, two moments of a zone are equal.
            return None if value is None else kept(value.astimezone(UTC))

        return written

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """On SQLite a text is read once for all rows that share it."""
        read = super().result_processor(dialect, coltype)
        return read if read is None or dialect.name != "sqlite" else lru_cache(64)(read)

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


Id: sa.types.TypeEngine[UUID] = sa.Uuid()
# JSON and not JSONB: it is only ever read whole, and JSONB is taken apart and put together again for that.
Json = sa.JSON()
JsonOrNull = sa.JSON(none_as_null=True)

# Counted by the database itself, which on SQLite only an INTEGER is.
Count: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

Seconds: sa.types.TypeEngine[float] = sa.Double()

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
    # The application that knows them; empty for what comes without one.
    sa.Column("client", sa.Text, primary_key=True, server_default=""),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("timezone", sa.Text),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# Written out in the query, as in the index: neither database uses a partial index for bound values. They
# have no type: of a Boolean SQLAlchemy makes `... = 1` on SQLite, and no index is used.
WAITING: sa.ColumnElement[bool] = sa.literal_column("state IN ('accepted', 'deferred')")
IN_HAND: sa.ColumnElement[bool] = sa.literal_column("state IN ('claimed', 'sending')")
_NOT_IN_HAND_SQL = sa.text("state NOT IN ('claimed', 'sending')")
NOT_IN_HAND: sa.ColumnElement[bool] = sa.literal_column(_NOT_IN_HAND_SQL.text)
HELD: sa.ColumnElement[bool] = sa.literal_column("state = 'held'")
_HELD_SQL = sa.text("state = 'held'")
_FOR_DIGEST_SQL = sa.text("state = 'held' AND reason = 'digest'")
FOR_DIGEST: sa.ColumnElement[bool] = sa.literal_column(_FOR_DIGEST_SQL.text)
_TROUBLE_SQL = sa.text("state IN ('deferred', 'held', 'suppressed', 'expired', 'failed', 'cancelled')")
ENDED: sa.ColumnElement[bool] = sa.literal_column(
    "state IN ('sent', 'suppressed', 'expired', 'failed', 'cancelled')"
)
TROUBLE: sa.ColumnElement[bool] = sa.literal_column(_TROUBLE_SQL.text)
_SUSPECTED_SQL = sa.text("suspicion > 0 AND state IN ('accepted', 'deferred', 'claimed', 'sending')")
SUSPECTED: sa.ColumnElement[bool] = sa.literal_column(_SUSPECTED_SQL.text)


def _partial(name: str, *columns: str, where: Any) -> sa.Index:
    return sa.Index(name, *columns, postgresql_where=where, sqlite_where=where)


notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("priority", sa.Text, nullable=False, server_default="normal"),
    # With its client, the recipient's. No foreign key: who is forgotten has no row any more.
    sa.Column("recipient_key", sa.Text, nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    # How many requests were grouped into it.
    sa.Column("occurrences", sa.Integer, nullable=False, server_default="1"),
    # What it was accepted with: unlike batch_id it never changes.
    sa.Column("intake_id", Id),
    # The batch that has it, or had it last.
    sa.Column("batch_id", Id),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    # The next step of its route, the attempts made, and those whose answer nobody knows.
    sa.Column("step", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("in_doubt", sa.Integer, nullable=False, server_default="0"),
    # Of ending its runs before they come to it; see suspicion.py.
    sa.Column("suspicion", sa.SmallInteger, nullable=False, server_default="0"),
    # The digest that carries it; from then on it shares that notification's end.
    sa.Column("digest_id", Id, sa.ForeignKey("notifications.id")),
    # The application whose API key it came with; none for what came another way.
    sa.Column("client", sa.Text),
    # The kinds of its type's route that it may take, where its request chose some.
    sa.Column("channels", Json),
    # What its request itself said of the recipient: it goes there, whatever is known of the recipient then.
    # Unset where the request named an id alone; empty once the recipient was forgotten.
    sa.Column("named", JsonOrNull),
    _partial("ix_notifications_intake_id", "intake_id", where=sa.text("intake_id IS NOT NULL")),
    _partial(
        "ix_notifications_waiting",
        "type",
        "priority",
        "due_at",
        where=sa.text("state IN ('accepted', 'deferred')"),
    ),
    _partial("ix_notifications_in_hand", "batch_id", where=sa.text("state IN ('claimed', 'sending')")),
    _partial("ix_notifications_held", "type", "recipient_key", where=_HELD_SQL),
    _partial("ix_notifications_for_digest", "expires_at", where=_FOR_DIGEST_SQL),
    _partial("ix_notifications_trouble", "state", "id", where=_TROUBLE_SQL),
    _partial("ix_notifications_suspected", "suspicion", where=_SUSPECTED_SQL),
    _partial("ix_notifications_digest_id", "digest_id", where=sa.text("digest_id IS NOT NULL")),
    _partial("ix_notifications_client", "client", "id", where=sa.text("client IS NOT NULL")),
    # PostgreSQL writes an entry for every change of a row, SQLite for a change of the columns alone. Claimed
    # rows are few, and found by ix_notifications_in_hand.
    sa.Index(
        "ix_notifications_client_recipient",
        "client",
        "recipient_key",
        "id",
        postgresql_where=_NOT_IN_HAND_SQL,
    ),
    # Not by state, as for ENDED: each change of state would cost a look at the five.
    _partial("ix_notifications_ended", "finished_at", where=sa.text("finished_at IS NOT NULL")),
)

# The recipient of a notification.
ITS_RECIPIENT: sa.ColumnElement[bool] = sa.and_(
    recipients.c.client == sa.func.coalesce(notifications.c.client, ""),
    recipients.c.key == notifications.c.recipient_key,
)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("tag", sa.Text, primary_key=True),
    sa.Column("notification_id", Id, primary_key=True, index=True),
)

# What one run has in hand. Its lease is kept by whoever will run it, runs it or watches over it; when
# the lease lapses the work is another's.
batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    # The run that was made for it, or that it was made for.
    sa.Column("flow_run_id", Id),
    # The process that made it, or took it up, for people: host and pid.
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("leased_until", UtcDateTime, nullable=False),
    # When its run took it up, and by whom: a second time is refused.
    sa.Column("taken_at", UtcDateTime),
    sa.Column("taken_by", Id),
    sa.Column("ended_at", UtcDateTime),
    # How it ended: done, lost, never started; and when Prefect was told.
    sa.Column("ending", sa.Text),
    sa.Column("summary", sa.Text, nullable=False, server_default=""),
    sa.Column("told_at", UtcDateTime),
    _partial("ix_batches_told", "ended_at", where=sa.text("told_at IS NOT NULL")),
    _partial("ix_batches_open", "leased_until", where=sa.text("ended_at IS NULL")),
    _partial(
        "ix_batches_untold",
        "ended_at",
        where=sa.text("told_at IS NULL AND ended_at IS NOT NULL"),
    ),
)

# Types that a person has stopped.
holds = sa.Table(
    "holds",
    metadata,
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
)

# Those that were released, for the story of what waited for that.
released_holds = sa.Table(
    "released_holds",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("released_at", UtcDateTime, nullable=False),
    sa.Index(None, "type", "released_at"),
)

# What happened to a notification that no attempt tells: its run was lost, a person stepped in.
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("notification_id", Id, sa.ForeignKey("notifications.id"), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False, server_default=""),
    sa.Column("batch_id", Id),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    # No foreign key: it is written in the transaction that moves its notification, which the database would
    # look up once more for each.
    sa.Column("notification_id", Id, nullable=False, index=True),
    sa.Column("batch_id", Id),
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

# What all processes agree on; see installation.py.
installation = sa.Table(
    "installation",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# Until when each provider's time is reserved, by those who send at its rate: seconds of the database's clock.
rates = sa.Table(
    "rates",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("free_at", Seconds, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    # Whose key it is: an application's, or empty for what comes without one.
    sa.Column("client", sa.Text, primary_key=True, server_default=""),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("notification_id", Id, nullable=False),
    sa.Column("body_hash", sa.LargeBinary, nullable=False),
    # What the first answer said besides the id: accepted, held or grouped.
    sa.Column("began", sa.Text, nullable=False, server_default="accepted"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index(None, "notification_id"),
)

groups = sa.Table(
    "groups",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("notification_id", Id, nullable=False, index=True),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    # What its notification says (notification_type.Condition): a request that says worse is news.
    sa.Column("status", sa.Text, nullable=False, server_default=""),
    sa.Column("level", sa.Integer, nullable=False, server_default="0"),
)

verifications = sa.Table(
    "verifications",
    metadata,
    sa.Column("notification_id", Id, sa.ForeignKey("notifications.id"), primary_key=True),
    sa.Column("recipient_key", sa.Text, nullable=False, index=True),
    # The kind of channel it goes over, and where it goes, folded: what it proves, whatever the recipient's
    # address is later.
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True, index=True),
    sa.Column("code_hash", sa.LargeBinary, primary_key=True),
    sa.Column("minted_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("wrong_tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("used_at", UtcDateTime),
)

# What the gateway knows its callers by. The secret itself is nowhere.
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("client", sa.Text, nullable=False, index=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("scopes", Json, nullable=False),
    # Requests a second it may make; unset, as many as it likes.
    sa.Column("rate", sa.Integer),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
)

# Where a client wants to hear what becomes of its notifications. Their secrets are made of Waypost's own.
webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("client", sa.Text, nullable=False, index=True),
    sa.Column("url", sa.Text, nullable=False),
    # ",sent,failed,": so that the trigger that makes events can ask it on both databases.
    sa.Column("states", sa.Text, nullable=False),
    # Counts rotations; the secret before is signed with too until then.
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("overlap_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # When it answered 410 Gone: from then on it is told nothing.
    sa.Column("gone_at", UtcDateTime),
)

# What a webhook has still to be told. A trigger on notifications makes them, in the transaction that
# changes a state, whoever changes it. No foreign key: a webhook deleted meanwhile must not stop that.
webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("id", Count, primary_key=True),
    sa.Column("webhook_id", Id, nullable=False),
    sa.Column("notification_id", Id, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    # When it is to be told, and until when whoever tells it has it.
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Index(None, "webhook_id", "due_at"),
    sa.Index(None, "at"),
    _partial("ix_webhook_events_failing", "webhook_id", "at", where=sa.text("tries > 0")),
)


def in_hand_of(batch: UUID) -> sa.ColumnElement[bool]:
    """Whether a notification, found by its id, is in the hands of `batch`.

    Written so that no index has it: both databases would go through all of the batch for a few ids of it,
    which over its run is the batch's size squared.
    """
    table = notifications.c
    return sa.and_(
        sa.func.coalesce(table.batch_id, table.batch_id) == batch,
        sa.literal_column("coalesce(state, '') IN ('claimed', 'sending')"),
    )
