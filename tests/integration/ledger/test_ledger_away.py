"""A ledger that is away for longer than a lease: its return takes nothing from workers that lived on."""

from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy.exc import DBAPIError
from support.ledger import LONG_AGO, NOTE, change, claimed, reserved, run_sql

from waypost.ledger.database.ledger import LEASE
from waypost.ledger.database.tables import batches
from waypost.ledger.queue.leases import renew
from waypost.ledger.queue.reaper import Reaper

pytestmark = pytest.mark.anyio
TYPES = {"note": NOTE}
BETWEEN_LOOKS = LEASE.total_seconds() / 8
FULL = [
    "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$",
    "CREATE TRIGGER no_room BEFORE UPDATE ON batches FOR EACH ROW EXECUTE FUNCTION no_room()",
]


@asynccontextmanager
async def unreachable(ledger):
    await run_sql(ledger, "ALTER TABLE batches RENAME TO away")
    try:
        yield
    finally:
        await run_sql(ledger, "ALTER TABLE away RENAME TO batches")


@asynccontextmanager
async def full(ledger):
    """What is there can be read."""
    sqlite = ["CREATE TRIGGER no_room BEFORE UPDATE ON batches BEGIN SELECT RAISE(ABORT, 'disk full'); END"]
    for statement in FULL if ledger.is_postgres else sqlite:
        await run_sql(ledger, statement)
    try:
        yield
    finally:
        await run_sql(
            ledger, "DROP FUNCTION no_room CASCADE" if ledger.is_postgres else "DROP TRIGGER no_room"
        )


class Looks:
    """A reaper of another worker, and its clock."""

    def __init__(self, ledger):
        self.time = 0.0
        self._reaper = Reaper(ledger, TYPES, lambda: self.time)

    async def __call__(self, times, apart=BETWEEN_LOOKS):
        """What it takes back, looking so often."""
        found = []
        for _ in range(times):
            self.time += apart
            with suppress(DBAPIError):
                found += await self._reaper.look()
        return found


@pytest.mark.parametrize("outage", [unreachable, full])
async def test_an_outage_of_two_leases_takes_nothing_from_an_owner_that_renews_after_it(ledger, outage):
    batch, _ = await claimed(ledger)
    looks = Looks(ledger)
    await change(ledger, batches, leased_until=LONG_AGO)
    await looks(3)
    async with outage(ledger):
        assert await looks(16) == []
    assert await looks(2) == []  # as long as two renewals are apart, at worst
    await renew(ledger, [batch])
    assert await looks(4) == []


@pytest.mark.parametrize("outage", [unreachable, full])
async def test_after_an_outage_the_work_of_an_owner_that_died_comes_back_within_a_lease(ledger, outage):
    await claimed(ledger)
    looks = Looks(ledger)
    await change(ledger, batches, leased_until=LONG_AGO)
    async with outage(ledger):
        await looks(16)
    assert [one.free for one in await looks(8)] == [1]


async def test_a_look_that_hung_for_an_outage_takes_nothing_from_an_owner_that_hung_too(ledger):
    batch, _ = await claimed(ledger)
    looks = Looks(ledger)
    await looks(3)
    await change(ledger, batches, leased_until=LONG_AGO)
    await looks(1)
    assert await looks(1, apart=2 * LEASE.total_seconds()) == []
    await renew(ledger, [batch])
    assert await looks(4) == []


async def test_what_an_ended_batch_has_in_hand_is_free_at_the_next_look_and_logged_as_an_error(
    ledger, caplog
):
    batch, _ = await claimed(ledger, 3)
    await change(ledger, batches, ended_at=LONG_AGO, ending="lost")
    await Looks(ledger)(1)
    [told] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"batch {batch} had ended with claimed notifications: 3 are free" in told.getMessage()
    assert (await reserved(ledger)).size == 3
