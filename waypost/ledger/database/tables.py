"""The ledger's tables, which migrations make; a test compares the two.

Columns with personal data hold sealed texts, and keys made from addresses are hashes: see sealing.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment with a time zone, always stored and read as UTC, even on SQLite, which stores no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """On SQLite a moment is written out as text, once for all rows that share it."""
        write = super().bind_processor(dialect)
        if write is None or dialect.name != "sqlite":
            return write
        kept = lru_cache(64)(write)

        def written(value: datetime | None) -> Any:
            # Cached by UTC: when clocks are set back, two moments of a zone may compare equal.
            return None if value is None else kept(value.astimezone(UTC))

        return written

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """On SQLite a text is read once for all rows that share it. PostgreSQL's driver gives moments, of
        which only the zone is looked at."""
        if dialect.name == "postgresql":
            return _in_utc
        read = super().result_processor(dialect, coltype)
        return read if read is None or dialect.name != "sqlite" else lru_cache(64)(read)

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return _in_utc(value)


def _in_utc(value: datetime | None) -> datetime | None:
    """Without a zone are SQLite's moments, and those that PostgreSQL's driver makes of `infinity`."""
    return value if value is None or value.tzinfo is not None else value.replace(tzinfo=UTC)


Id: sa.types.TypeEngine[UUID] = sa.Uuid()
# JSON, not JSONB: it is only read whole, and JSONB would be parsed and serialized again for that.
Json = sa.JSON()
JsonOrNull = sa.JSON(none_as_null=True)

# Numbered by the database, which SQLite does only for an INTEGER.
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


def _partial(name: str, *columns: str, where: Any) -> sa.Index:
    return sa.Index(name, *columns, postgresql_where=where, sqlite_where=where)


recipients = sa.Table(
    "recipients",
    metadata,
    # The client that the recipient belongs to; empty for requests without one.
    sa.Column("client", sa.Text, primary_key=True, server_default=""),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("timezone", sa.Text),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    # Of the links in its mails; it grows when they are revoked. A recipient that becomes known again does not
    # get the one that it had before it was forgotten.
    sa.Column("link_generation", sa.Integer, nullable=False, server_default="0"),
    # Values of its client's own (model/attributes.py); unset without any.
    sa.Column("attributes", JsonOrNull),
)

# The addresses that a recipient has beside the main ones, and when addresses were verified.
recipient_addresses = sa.Table(
    "recipient_addresses",
    metadata,
    # The recipient. No foreign key: who deletes a recipient deletes these.
    sa.Column("client", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    # The keyed hash of the address, as in suppressions.
    sa.Column("stored_key", sa.Text, primary_key=True),
    # email or phone.
    sa.Column("kind", sa.Text, nullable=False),
    # Unset for a main address, which its recipient has: the row only says when it was verified.
    sa.Column("address", sa.Text),
    # Its place in the list of further addresses, from 0.
    sa.Column("place", sa.SmallInteger, nullable=False, server_default="0"),
    # Unset for an address that nobody has proved.
    sa.Column("verified_at", UtcDateTime),
    sa.Column("added_at", UtcDateTime, nullable=False),
)

# What recipients chose, by category.
preferences = sa.Table(
    "preferences",
    metadata,
    sa.Column("client", sa.Text, primary_key=True),
    # The recipient's; empty for what the client chose for all of its recipients.
    sa.Column("recipient_key", sa.Text, primary_key=True),
    sa.Column("category", sa.Text, primary_key=True),
    # As model/cadence.py writes it.
    sa.Column("cadence", sa.Text, nullable=False),
    # The kinds of channel that are wanted; unset for all.
    sa.Column("channels", JsonOrNull),
    # When a double opt-in was confirmed, and what tells it.
    sa.Column("confirmed_at", UtcDateTime),
    sa.Column("evidence", sa.Text, nullable=False, server_default=""),
    # Who chose: the recipient by their page or one click, the API, an import.
    sa.Column("chosen_by", sa.Text, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# Addresses that must not be written to.
suppressions = sa.Table(
    "suppressions",
    metadata,
    # The keyed hash of the address: as mailto: or tel:, folded, so that all spellings are one.
    sa.Column("address", sa.Text, primary_key=True),
    # Whose notifications it stops: a client's, those without a client (empty), or all (*).
    sa.Column("client", sa.Text, primary_key=True),
    # The category; empty for all.
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("cause", sa.Text, primary_key=True),
    # The address itself, for lists and exports; unset once its recipient was forgotten.
    sa.Column("shown", sa.Text),
    sa.Column("evidence", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    _partial("ix_suppressions_expires_at", "expires_at", where=sa.text("expires_at IS NOT NULL")),
    sa.Index("ix_suppressions_client", "client", "address"),
)

# Notifications that an address's mail server did not take until they ended; see soft_bounces.py.
soft_bounces = sa.Table(
    "soft_bounces",
    metadata,
    # The keyed hash of the address, as in suppressions.
    sa.Column("address", sa.Text, primary_key=True),
    # It may be deleted before the row, which only counts.
    sa.Column("notification_id", Id, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)

# Literal SQL, the same as in the index: neither database uses a partial index for bound values. They have no
# type: for a Boolean SQLAlchemy writes `... = 1` on SQLite, and no index is used.
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


notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("priority", sa.Text, nullable=False, server_default="normal"),
    # With client, the key of the recipient. No foreign key: a forgotten recipient has no row.
    sa.Column("recipient_key", sa.Text, nullable=False),
    sa.Column("data", Json, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    # How many requests were grouped into it.
    sa.Column("occurrences", sa.Integer, nullable=False, server_default="1"),
    # The intake that accepted it; unlike batch_id, it never changes.
    sa.Column("intake_id", Id),
    # The batch that has it, or had it last.
    sa.Column("batch_id", Id),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime),
    # The next step of its route, its tries (attempts, and deferrals without one), and its attempts in doubt.
    sa.Column("step", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("in_doubt", sa.Integer, nullable=False, server_default="0"),
    # Suspicion of ending its runs before they get to it; see policy/poison_item.py.
    sa.Column("suspicion", sa.SmallInteger, nullable=False, server_default="0"),
    # The digest that carries it; from then on it shares that notification's end.
    sa.Column("digest_id", Id, sa.ForeignKey("notifications.id")),
    # The client whose API key it came with; unset for requests without one.
    sa.Column("client", sa.Text),
    # The channel kinds that its request chose from its type's route, if it chose any.
    sa.Column("channels", JsonOrNull),
    # What its request said of the recipient: it goes there, whatever is on record for the recipient then.
    # Unset where the request named an id alone; empty once the recipient was forgotten.
    sa.Column("named", JsonOrNull),
    # The brand whose mail it is; unset for the default brand.
    sa.Column("brand", sa.Text),
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

# The notifications claimed for one run. The process that will run, runs or watches over a batch keeps its
# lease; when the lease lapses, the work goes to another process.
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
    # When its run took it up, and by which call: a second call is refused.
    sa.Column("taken_at", UtcDateTime),
    sa.Column("taken_by", Id),
    sa.Column("ended_at", UtcDateTime),
    # How it ended (BatchResult), and when Prefect was told.
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

# Released holds, for the timelines of notifications that waited for the release.
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

# What happened to a notification besides attempts: its run was lost, a person stepped in.
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
    # No foreign key: the row is written in the transaction that moves its notification, and the database
    # would look the notification up once more for each row.
    sa.Column("notification_id", Id, nullable=False, index=True),
    sa.Column("batch_id", Id),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("flow_run_id", Id),
    sa.Column("started_at", UtcDateTime, nullable=False),
    # Unset until the outcome is known: an attempt without one is in doubt.
    sa.Column("finished_at", UtcDateTime),
    sa.Column("verdict", sa.Text),
    sa.Column("phase", sa.Text),
    sa.Column("code", sa.Integer),
    sa.Column("enhanced", sa.Text),
    sa.Column("words", sa.Text),
    # Of the templates that rendered its message; unset for a mail that its author finished.
    sa.Column("template_version", sa.Text),
    # The rule that allowed it (policy/precedence.py); unset before there were rules.
    sa.Column("rule", sa.Text),
)

# What all processes agree on; see installation.py and mirrored_holds.py.
installation = sa.Table(
    "installation",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# Until when each provider's time is reserved by processes that send there: seconds of the database's clock.
rates = sa.Table(
    "rates",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("free_at", Seconds, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    # The client that the key belongs to; empty for requests without one.
    sa.Column("client", sa.Text, primary_key=True, server_default=""),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("notification_id", Id, nullable=False),
    sa.Column("body_hash", sa.LargeBinary, nullable=False),
    # What the first response said besides the id: accepted, held or grouped.
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
    # What its notification says (notification_type.Condition): another status or a higher level is news.
    sa.Column("status", sa.Text, nullable=False, server_default=""),
    sa.Column("level", sa.Integer, nullable=False, server_default="0"),
)

verifications = sa.Table(
    "verifications",
    metadata,
    sa.Column("notification_id", Id, sa.ForeignKey("notifications.id"), primary_key=True),
    sa.Column("recipient_key", sa.Text, nullable=False, index=True),
    # The kind of channel and the folded address that the code goes to: what the code proves, whatever the
    # recipient's address is later.
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True, index=True),
    sa.Column("code_hash", sa.LargeBinary, primary_key=True),
    sa.Column("minted_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("wrong_tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("used_at", UtcDateTime),
)

# The API keys of the gateway. The secret itself is not stored.
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("client", sa.Text, nullable=False, index=True),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("scopes", Json, nullable=False),
    # Requests per second; unset for no limit.
    sa.Column("rate", sa.Integer),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
    # The only brand that its requests are for; unset if they choose.
    sa.Column("brand", sa.Text),
    # The only addresses and @domains that its requests may go to; unset for any.
    sa.Column("only_to", JsonOrNull),
)

# Where clients receive the states of their notifications. Secrets are derived from Waypost's secret key.
webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("client", sa.Text, nullable=False, index=True),
    sa.Column("url", sa.Text, nullable=False),
    # ",sent,failed,": so that the trigger that makes events can search it on both databases.
    sa.Column("states", sa.Text, nullable=False),
    # Counts rotations; until overlap_until, the previous secret signs too.
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("overlap_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # When it returned 410 Gone: from then on it receives nothing.
    sa.Column("gone_at", UtcDateTime),
)

# Events still to be delivered. A trigger on notifications makes them, in every transaction that changes a
# state. No foreign key: a webhook deleted meanwhile must not make that transaction fail.
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
    # When it is to be delivered; while it is claimed, when the claim ends.
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Index(None, "webhook_id", "due_at"),
    sa.Index(None, "at"),
    _partial("ix_webhook_events_failing", "webhook_id", "at", where=sa.text("tries > 0")),
)


def in_hand_of(batch: str) -> sa.ColumnElement[bool]:
    """Whether a notification, found by its id, is claimed by the batch that the parameter `batch` holds.

    Written so that no index matches: both databases would scan the whole batch for a few of its ids, which
    over its run costs the square of the batch's size.
    """
    table = notifications.c
    return sa.and_(
        sa.func.coalesce(table.batch_id, table.batch_id) == sa.bindparam(batch, type_=Id),
        sa.literal_column("coalesce(state, '') IN ('claimed', 'sending')"),
    )
