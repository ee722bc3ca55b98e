"""Recipients belong to their client; a notification keeps the address its request named, and how suspect it
is of ending its runs

Each client gets what was known of the recipients that it has notifications for. A recipient without any is
kept for every client whose key may manage recipients, and for what comes without a client. The spellings of
one phone number are one recipient.
"""

import re

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


SUSPECTED = sa.text("suspicion > 0 AND state IN ('accepted', 'deferred', 'claimed', 'sending')")
REFERRING = ("notifications", "verifications")
KNOWN = ("email", "phone", "name", "locale", "timezone")


def upgrade() -> None:
    op.add_column(
        "notifications", sa.Column("suspicion", sa.SmallInteger(), nullable=False, server_default="0")
    )
    op.add_column("notifications", sa.Column("named", sa.JSON()))
    op.create_index(
        "ix_notifications_suspected",
        "notifications",
        ["suspicion"],
        postgresql_where=SUSPECTED,
        sqlite_where=SUSPECTED,
    )
    for table in REFERRING:
        _drop_reference(table)
    _put_aside()
    _make(sa.Column("client", sa.Text(), server_default="", nullable=False), key=["client", "key"])
    op.execute(_SHARED_OUT)
    op.drop_table("recipients_before")
    for table in REFERRING:
        op.execute(_RENAMED.format(table=table, spelled=_one_spelling("recipient_key")))


def downgrade() -> None:
    _put_aside()
    _make(key=["key"])
    op.execute(_TOGETHER)
    op.execute(_FORGOTTEN)
    op.drop_table("recipients_before")
    for table in REFERRING:
        _restore_reference(table)
    op.drop_index("ix_notifications_suspected", table_name="notifications")
    op.drop_column("notifications", "named")
    op.drop_column("notifications", "suspicion")


def _put_aside() -> None:
    """The table as it was, as recipients_before, without the name of a constraint that the new one has."""
    op.rename_table("recipients", "recipients_before")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("pk_recipients", "recipients_before")


def _make(*columns: sa.Column[str], key: list[str]) -> None:
    op.create_table(
        "recipients",
        *columns,
        sa.Column("key", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in KNOWN),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_recipients")),
    )


def _one_spelling(key: str) -> str:
    """A key as SQL, as waypost.mail.address.url_of writes it: of a phone number, digits and plus signs. The
    other characters that one may have stand between its digits; letters are in no phone number."""
    bare = key
    for other in " -.()":
        bare = f"replace({bare}, '{other}', '')"
    return f"CASE WHEN {key} LIKE 'tel:%' THEN {bare} ELSE {key} END"


def _latest(name: str, whose: str) -> str:
    """What was last known, of several rows for one recipient."""
    order = f"{name} IS NULL, updated_at DESC, key"
    return f"first_value({name}) OVER (PARTITION BY {whose} ORDER BY {order}) AS {name}"


_FIELDS = ", ".join(KNOWN)
_MANAGERS = """
SELECT DISTINCT client FROM api_keys WHERE CAST(scopes AS TEXT) LIKE '%"manage"%' AND revoked_at IS NULL
"""
_SHARED_OUT = f"""
INSERT INTO recipients (client, key, {_FIELDS}, updated_at)
WITH known AS (
    SELECT DISTINCT spelled, {_FIELDS}, updated_at FROM (
        SELECT spelled, {", ".join(_latest(name, "spelled") for name in KNOWN)},
            max(updated_at) OVER (PARTITION BY spelled) AS updated_at
        FROM (SELECT recipients_before.*, {_one_spelling("key")} AS spelled FROM recipients_before) AS spelt
    ) AS latest
), named AS (
    SELECT DISTINCT coalesce(client, '') AS client, {_one_spelling("recipient_key")} AS spelled
    FROM (SELECT DISTINCT client, recipient_key FROM notifications) AS each_once
), whose AS (
    SELECT client, spelled FROM named
    UNION
    SELECT client, spelled FROM known CROSS JOIN (SELECT '' AS client UNION {_MANAGERS}) AS managers
    WHERE spelled NOT IN (SELECT spelled FROM named)
)
SELECT whose.client, known.spelled, {_FIELDS}, updated_at
FROM known JOIN whose ON whose.spelled = known.spelled
"""  # noqa: S608 - of this file's own words alone
_RENAMED = """
UPDATE {table} SET recipient_key = {spelled} WHERE recipient_key LIKE 'tel:%' AND recipient_key <> {spelled}
"""
_TOGETHER = f"""
INSERT INTO recipients (key, {_FIELDS}, updated_at)
SELECT DISTINCT key, {_FIELDS}, updated_at FROM (
    SELECT key, {", ".join(_latest(name, "key") for name in KNOWN)},
        max(updated_at) OVER (PARTITION BY key) AS updated_at
    FROM recipients_before
) AS latest
"""  # noqa: S608 - of this file's own words alone
_FORGOTTEN = """
INSERT INTO recipients (key, updated_at)
SELECT recipient_key, max(accepted_at) FROM notifications
WHERE recipient_key NOT IN (SELECT key FROM recipients) GROUP BY recipient_key
"""


def _drop_reference(table: str) -> None:
    name = f"fk_{table}_recipient_key"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(name, table)
        return
    words = rf",\s*CONSTRAINT {name} FOREIGN KEY\s*\(recipient_key\) REFERENCES recipients\s*\(.?key.?\)"
    _rewrite(table, words, "")


def _restore_reference(table: str) -> None:
    name = f"fk_{table}_recipient_key"
    if op.get_bind().dialect.name == "postgresql":
        op.create_foreign_key(name, table, "recipients", ["recipient_key"], ["key"])
        return
    words = rf",\s*CONSTRAINT pk_{table} PRIMARY KEY"
    added = f", CONSTRAINT {name} FOREIGN KEY(recipient_key) REFERENCES recipients (key)"
    _rewrite(table, rf"({words})", rf"{added}\1")


def _rewrite(table: str, words: str, instead: str) -> None:
    """Change a constraint in SQLite's own description of a table, which needs no copy of all its rows:
    https://www.sqlite.org/lang_altertable.html, section 7, has these steps."""
    connection = op.get_bind()
    known = connection.scalar(
        sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table"), {"table": table}
    )
    changed, count = re.subn(words, instead, known or "")
    if count != 1:
        raise RuntimeError(f"the table {table} of this ledger was changed; restore a backup of it")
    version = connection.scalar(sa.text("PRAGMA schema_version"))
    connection.execute(sa.text("PRAGMA writable_schema = ON"))
    connection.execute(
        sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :table"),
        {"sql": changed, "table": table},
    )
    connection.execute(sa.text(f"PRAGMA schema_version = {version + 1}"))
    connection.execute(sa.text("PRAGMA writable_schema = OFF"))
