"""Codes are derived from their notification and bound to its address

A row is a code at an address. Codes that are on their way stay right, the code before a resent mail's too.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from waypost.ledger.database.tables import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Phone numbers are written as mail.address.folded writes what PHONE_PATTERN allows.
KEEP = """
INSERT INTO verifications (
    notification_id, recipient_key, channel, address, code_hash, minted_at, expires_at, wrong_tries, used_at
)
SELECT notification_id, recipient_key,
    CASE WHEN address LIKE '%@%' THEN 'email' ELSE 'sms' END,
    CASE WHEN address LIKE '%@%' THEN address ELSE
        replace(replace(replace(replace(replace(address, ' ', ''), '-', ''), '.', ''), '(', ''), ')', '')
    END,
    hash, minted_at, expires_at, wrong_tries, used_at
FROM (
    SELECT *, code_hash AS hash FROM verifications_before
    UNION ALL
    SELECT *, earlier_hash AS hash FROM verifications_before
    WHERE earlier_hash IS NOT NULL AND earlier_hash <> code_hash
) AS codes
"""
# Of a notification's codes the one that lives longest.
GIVE_BACK = """
INSERT INTO verifications (
    notification_id, recipient_key, address, code_hash, minted_at, expires_at, wrong_tries, used_at
)
SELECT notification_id, recipient_key, address, code_hash, minted_at, expires_at, wrong_tries, used_at
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY notification_id ORDER BY expires_at DESC, channel, address, code_hash
    ) AS place
    FROM verifications_before
) AS codes
WHERE place = 1
"""


def _put_aside() -> None:
    """The table as it was, as verifications_before, without the names that the new one has."""
    op.drop_index("ix_verifications_address", table_name="verifications")
    op.drop_index("ix_verifications_recipient_key", table_name="verifications")
    op.rename_table("verifications", "verifications_before")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("pk_verifications", "verifications_before")


def _make(column: sa.Column[Any], key: list[str]) -> None:
    op.create_table(
        "verifications",
        sa.Column("notification_id", sa.Uuid(), nullable=False),
        sa.Column("recipient_key", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        column,
        sa.Column("minted_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("wrong_tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("used_at", UtcDateTime()),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notifications.id"], name=op.f("fk_verifications_notification_id")
        ),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_verifications")),
    )
    op.create_index("ix_verifications_address", "verifications", ["address"])
    op.create_index("ix_verifications_recipient_key", "verifications", ["recipient_key"])


def upgrade() -> None:
    _put_aside()
    _make(
        sa.Column("channel", sa.Text(), nullable=False),
        key=["notification_id", "channel", "address", "code_hash"],
    )
    op.execute(KEEP)
    op.drop_table("verifications_before")


def downgrade() -> None:
    _put_aside()
    _make(sa.Column("earlier_hash", sa.LargeBinary()), key=["notification_id"])
    op.execute(GIVE_BACK)
    op.drop_table("verifications_before")
