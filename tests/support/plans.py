"""The plans by which a database runs the ledger's statements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from waypost.ledger import Ledger

Statement = tuple[str, Any]


def statements_of(ledger: Ledger) -> list[Statement]:
    """A list to which each statement is added that the ledger runs from now on, with its values."""
    seen: list[Statement] = []
    engine = getattr(ledger.engine, "sync_engine", ledger.engine)
    sa.event.listen(
        engine, "before_cursor_execute", lambda _c, _u, text, values, *_: seen.append((text, values))
    )
    return seen


async def plans_of(ledger: Ledger, asked: Iterable[Statement]) -> list[tuple[str, str]]:
    """Each statement and its plan. PostgreSQL scans a table only if it has no other way: tables of tests are
    too small to look for an index."""
    explain = "EXPLAIN" if ledger.is_postgres else "EXPLAIN QUERY PLAN"
    given = tuple(asked)  # `asked` may be a list that each statement is added to

    def work(connection: sa.Connection) -> list[tuple[str, str]]:
        if ledger.is_postgres:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [
            (text, str(connection.exec_driver_sql(f"{explain} {text}", values).all()))
            for text, values in given
        ]

    return await ledger.write(work)
