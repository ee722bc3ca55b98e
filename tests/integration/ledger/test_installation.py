"""Processes on one ledger have one secret key."""

import asyncio
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from support.ledger import rows
from support.rings import DATA_KEYS, ring

from waypost import Recipient, Request
from waypost.config.settings import Settings, with_async_driver
from waypost.delivery.runtime import Runtime
from waypost.flows.signup_verification import TYPE as SIGNUP
from waypost.flows.signup_verification import Signup
from waypost.ledger import open_ledger
from waypost.ledger.database.open_elsewhere import open_elsewhere
from waypost.ledger.database.tables import installation, verifications
from waypost.ledger.database.unreachable import OtherKey
from waypost.ledger.database.watch_for_work import watching
from waypost.ledger.intake.accept import accept
from waypost.ledger.queue import claims
from waypost.ledger.records.installation import (
    at_work,
    change_key,
    check_key,
    fingerprint,
    is_key,
    require_key,
)
from waypost.rendering.preparing import PutOff
from waypost.verification.codes import mint
from waypost.verification.minting import minted

pytestmark = pytest.mark.anyio


def signup():
    facts = Signup(product="Harbour", verify_url="https://app.example/verify")
    return Request[Signup](recipient=Recipient(id="ada", email="ada@a.example"), data=facts)


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


async def test_no_code_is_kept_whose_key_was_changed_while_it_was_made(ledger, database, caplog):
    async def changed_meanwhile(runtime, notifications):
        await change_key(ledger, THEIRS)
        return await mint(runtime, notifications)

    await accept(ledger, SIGNUP, [signup()])
    settings = Settings(database_url=database, secret_key=OURS.decode(), data_keys=DATA_KEYS)
    async with Runtime.open(settings, []) as runtime, asyncio.timeout(60):
        claim = await claims.reserve(ledger, SIGNUP.name, SIGNUP.lane)
        waiting = (await claims.take_up(ledger, SIGNUP.name, claim.id)).notifications
        for _ in range(2):
            [found] = (await minted(runtime, replace(SIGNUP, mint=changed_meanwhile), waiting)).values()
            assert isinstance(found, PutOff)
            assert "waits for a worker with the ledger's secret key" in str(found)
            assert not asyncio.current_task().cancelling(), "or the next step takes a fault for a stop"
    assert await rows(ledger, verifications) == []
    assert len(await at_work(ledger)) == 1
    assert ["WAYPOST_SECRET_KEY" in one.getMessage() for one in caplog.records] == [True], "said once"
    assert caplog.records[0].levelname == "ERROR"


async def test_the_key_is_not_changed_before_a_transaction_ends_that_relies_on_it(ledger):
    order = []

    def judge(connection):
        require_key(connection, OURS)
        if ledger.is_postgres:
            connection.execute(sa.text("SELECT pg_sleep(0.5)"))
        else:
            time.sleep(0.5)  # in the thread of the one writer
        order.append("judged")

    await check_key(ledger, OURS)
    judging = asyncio.create_task(ledger.write(judge))
    await asyncio.sleep(0.2)
    await change_key(ledger, THEIRS)
    order.append("changed")
    await judging
    assert order == ["judged", "changed"]
    with pytest.raises(OtherKey):
        await ledger.write(judge)


async def test_a_process_that_only_watches_the_ledger_has_it_open(ledger, database):
    other = open_ledger(with_async_driver(database), ring=ring)
    await check_key(ledger, OURS)
    async with watching(other, lambda: None):
        await check_key(other, OURS)
        async with asyncio.timeout(60):
            while not await open_elsewhere(ledger):
                await asyncio.sleep(0.05)
        await check_key(ledger, OURS)
        await check_key(other, OURS)  # it is not disturbed
    await other.close()
    assert await open_elsewhere(ledger) == []
    await change_key(ledger, THEIRS)
    assert await is_key(ledger, THEIRS)


async def test_what_is_kept_is_not_the_key(ledger):
    await check_key(ledger, OURS)
    [kept] = await rows(ledger, installation)
    assert kept.value == fingerprint(OURS)
    assert OURS.decode() not in kept.value


async def test_no_runtime_opens_with_another_key(ledger, database):
    await check_key(ledger, OURS)
    theirs = Settings(database_url=database, secret_key=THEIRS.decode(), data_keys=DATA_KEYS)
    with pytest.raises(OtherKey):
        async with Runtime.open(theirs, []):
            pass
