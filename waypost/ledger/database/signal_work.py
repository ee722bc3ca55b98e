"""Wakes every process that watches the ledger for new work; see watch_for_work.py for the watching."""

from __future__ import annotations

import sqlalchemy as sa

CHANNEL = "waypost"
_NOTIFY = sa.text(f"NOTIFY {CHANNEL}")


def announce_work(connection: sa.Connection) -> None:
    """Wake every dispatcher when this transaction commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY)
