"""Processes on one ledger have one secret key."""

import asyncio

import pytest
from ledgers import rows

from waypost.ledger.installation import OtherKey, change_key, check_key, fingerprint, is_key
from waypost.ledger.tables import installation
from waypost.runtime import Runtime
from waypost.settings import Settings

pytestmark = pytest.mark.anyio

OURS, THEIRS = b"a key of sixteen or more", b"another key of sixteen"


async def test_the_first_key_is_the_ledgers_and_no_other_opens_it(ledger):
    assert await is_key(ledger, THEIRS)
    await check_key(ledger, OURS)
    await check_key(ledger, OURS)
    with pytest.raises(OtherKey, match="WAYPOST_SECRET_KEY"):
        await check_key(ledger, THEIRS)
    assert [await is_key(ledger, key) for key in (OURS, THEIRS)] == [True, False]


async def test_of_two_that_come_first_at_once_one_opens_it(ledger):
    keys = [OURS, THEIRS] * 5
    found = await asyncio.gather(*(check_key(ledger, key) for key in keys), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["NoneType"] * 5 + ["OtherKey"] * 5


async def test_a_key_that_was_changed_on_purpose_is_the_ledgers(ledger):
    await check_key(ledger, OURS)
    await change_key(ledger, THEIRS)
    await check_key(ledger, THEIRS)
    assert not await is_key(ledger, OURS)


async def test_what_is_kept_is_not_the_key(ledger):
    await check_key(ledger, OURS)
    [kept] = await rows(ledger, installation)
    assert kept.value == fingerprint(OURS)
    assert OURS.decode() not in kept.value


async def test_no_runtime_opens_with_another_key(ledger, database):
    await check_key(ledger, OURS)
    with pytest.raises(OtherKey):
        async with Runtime.open(Settings(database_url=database, secret_key=THEIRS.decode()), []):
            pass
