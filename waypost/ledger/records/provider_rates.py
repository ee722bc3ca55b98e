"""A provider's rate, counted in one place for all processes on a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa

from waypost.ledger.database.ledger import Ledger
from waypost.ledger.database.tables import Seconds, rates

# Seconds. A reservation further ahead dates from before the clock was set back, and is ignored.
FURTHEST = 300.0
_POSTGRES_CLOCK = sa.literal_column("extract(epoch FROM statement_timestamp())::float8", Seconds)
_SQLITE_CLOCK = sa.literal_column("(julianday('now') - 2440587.5) * 86400", Seconds)


def counted(ledger: Ledger, provider: str, per_second: float) -> Callable[[int], Awaitable[None]]:
    """A function that waits until so many messages may go to the provider; all processes share the rate."""

    async def acquire(count: int) -> None:
        await asyncio.sleep(await reserve(ledger, provider, count / per_second))

    return acquire


async def reserve(ledger: Ledger, provider: str, seconds: float) -> float:
    """Reserve so many seconds of a provider's time, after all earlier reservations. Returns in how many
    seconds they begin.

    The database's clock counts, so that processes whose clocks differ agree. Reserved time that is not used
    is lost. Raises NotRecorded when the ledger was given up.
    """
    statement = _statement(ledger)
    given = {"provider": provider, "seconds": seconds}
    wait = await ledger.write_until_durable(
        lambda connection: connection.execute(statement, given).scalar_one()
    )
    return max(0.0, wait)


def _statement(ledger: Ledger) -> Any:
    """One statement, so that no two processes reserve the same time."""
    clock = _POSTGRES_CLOCK if ledger.is_postgres else _SQLITE_CLOCK
    seconds: sa.BindParameter[float] = sa.bindparam("seconds", type_=Seconds)
    begins = sa.case((rates.c.free_at.between(clock, clock + FURTHEST), rates.c.free_at), else_=clock)
    first = ledger.insert(rates).values(provider=sa.bindparam("provider"), free_at=clock + seconds)
    return first.on_conflict_do_update(
        index_elements=[rates.c.provider], set_={"free_at": begins + seconds}
    ).returning(rates.c.free_at - seconds - clock)
