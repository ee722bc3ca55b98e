"""Opening a ledger on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

from waypost.ledger.database import postgres_url
from waypost.ledger.database.postgres import PostgresLedger
from waypost.ledger.database.sealing import Sealing
from waypost.ledger.database.watchdog import with_timeouts


def open_postgres(
    url: str, lease: timedelta, patience: timedelta | None, sealing: Sealing, options: Mapping[str, Any]
) -> PostgresLedger:
    """The ledger at `url`; see `open_ledger`. options: for the engine."""
    place, named = postgres_url.read(url)
    given: dict[str, Any] = {"connect_args": with_timeouts(patience, named), **options}
    if patience is not None:
        given["pool_timeout"] = patience.total_seconds()
    engine = create_async_engine(place, pool_size=4, max_overflow=4, **given)
    return PostgresLedger(engine, lease, sealing, named)
