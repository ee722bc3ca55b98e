"""Opening a ledger by its URL, and checking its schema."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from waypost.config.data_keys import key_ring
from waypost.config.settings import Settings
from waypost.ledger.database.bulk import as_json
from waypost.ledger.database.ledger import BUSY, LEASE, Ledger
from waypost.ledger.database.sealing import OPTION, Sealing
from waypost.ledger.database.sqlite import SqliteLedger
from waypost.ledger.database.sqlite_tuning import tune_sqlite
from waypost.system.key_ring import KeyRing

OPTIONS: dict[str, Any] = {
    "json_serializer": as_json,
    "json_deserializer": orjson.loads,
    "hide_parameters": True,  # addresses and facts stay out of database errors
}


def open_ledger(
    url: str,
    lease: timedelta = LEASE,
    patience: timedelta | None = None,
    home: Path | None = None,
    ring: Callable[[], KeyRing] = KeyRing,
) -> Ledger:
    """The ledger at `url` (an SQLAlchemy URL). Connects on first use; only `upgrade` makes a SQLite file.

    patience: how long work may wait for a lock or a connection before it fails, for callers that owe a quick
    response; unset, 30 s for SQLite's writer and for a pooled connection, no limit for PostgreSQL's locks.
    home: the folder whose files show that there was a ledger before; `upgrade` then makes no file.
    ring: gives the keys of personal data when they are first needed; without keys it is left in the clear.

    Raises ValueError, whose text never holds a password, when `url` cannot be parsed.
    """
    sealing = Sealing(ring)
    options = {**OPTIONS, "execution_options": {OPTION: sealing}}
    if not url.startswith("sqlite"):
        # Imported here: SQLite needs neither asyncpg nor SQLAlchemy's asyncio.
        from waypost.ledger.database.open_postgres import open_postgres

        return open_postgres(url, lease, patience, sealing, options)
    engine = sa.create_engine(url, **options)
    tune_sqlite(engine, patience or BUSY, lambda: ledger.given_up)
    ledger = SqliteLedger(engine, lease, sealing, home)
    return ledger


def ledger_of(settings: Settings, patience: timedelta | None = None) -> Ledger:
    """The ledger that `settings` name; see `open_ledger`. Using it raises LedgerMissing if it was lost."""
    ring = partial(key_ring, settings)
    return open_ledger(settings.ledger_url, settings.lease, patience, settings.home, ring)


@asynccontextmanager
async def connect(settings: Settings, patience: timedelta | None = None) -> AsyncGenerator[Ledger]:
    """The ledger that `settings` name, for the length of the block."""
    ledger = ledger_of(settings, patience)
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def connect_checked(settings: Settings, patience: timedelta | None = None) -> AsyncGenerator[Ledger]:
    """Like `connect`, after checking that the schema is this version's. Raises what `check_schema` raises."""
    async with connect(settings, patience) as ledger:
        await ledger.check_schema()
        yield ledger
