"""Which of the two databases a connection is to, for statements that differ."""

from __future__ import annotations

import sqlalchemy as sa


def is_postgres(connection: sa.Connection) -> bool:
    """Whether the connection is to PostgreSQL; otherwise it is to SQLite."""
    return connection.dialect.name == "postgresql"
