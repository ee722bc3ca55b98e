"""Long reads: they have places of their own, and an end."""

import asyncio
import time

import pytest
import sqlalchemy as sa
from support.ledger import accepted, rows

from waypost.ledger.database.sqlite import BROWSERS

pytestmark = pytest.mark.anyio

ENDLESS = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")


async def test_many_long_reads_keep_no_short_read_and_no_write_waiting(ledger):
    def long(connection):
        if ledger.is_postgres:
            connection.execute(sa.text("SELECT pg_sleep(2)"))
        else:
            time.sleep(2)

    browsing = [asyncio.create_task(ledger.browse(long)) for _ in range(BROWSERS * 5)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(1.5):
        await asyncio.gather(*(accepted(ledger) for _ in range(5)), *(rows(ledger) for _ in range(5)))
    assert not any(task.done() for task in browsing)
    for task in browsing[BROWSERS:]:
        task.cancel()
    await asyncio.gather(*browsing, return_exceptions=True)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_read_that_takes_too_long_is_ended(ledger, monkeypatch):
    monkeypatch.setattr("waypost.ledger.database.sqlite.BROWSING_SECONDS", 0.1)
    with pytest.raises(sa.exc.OperationalError, match="interrupted"):
        await ledger.browse(lambda connection: connection.execute(ENDLESS).all())
    assert await ledger.read(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1
