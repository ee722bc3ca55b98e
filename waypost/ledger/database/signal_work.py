"""Wakes every process that watches the ledger for new work; see watch_for_work.py for the watching."""

from __future__ import annotations

import sqlalchemy as sa

from waypost.ledger.database.dialect import is_postgres

CHANNEL = "waypost"
_NOTIFY = sa.text(f"NOTIFY {CHANNEL}")


def announce_work(connection: sa.Connection) -> None:
    """Wake every dispatcher when this transaction commits."""
    if is_postgres(connection):
        connection.execute(_NOTIFY)
