"""Holds that Prefect shows too: what both sides agreed on last is kept, and a stale look changes nothing."""

import asyncio
from uuid import uuid4

import pytest
from support.ledger import accepted, reserved, rows

from waypost.ledger.queue.holds import held_types, hold, release
from waypost.ledger.queue.mirrored_holds import ledger_sides, settle

pytestmark = pytest.mark.anyio

ID = uuid4()


async def side(ledger):
    return (await ledger_sides(ledger, ["note", "other"]))["note"]


async def test_of_looks_at_one_moment_a_single_one_changes_the_ledger(ledger):
    seen = await side(ledger)
    done = await asyncio.gather(*(settle(ledger, "note", ID, seen, True, "paused") for _ in range(4)))
    assert sorted(done) == [False, False, False, True]
    found = await side(ledger)
    assert (found.held, found.reason, found.before(ID), found.before(uuid4())) == (True, "paused", True, None)


async def test_a_look_that_is_older_than_a_persons_change_does_nothing(ledger):
    seen = await side(ledger)
    await hold(ledger, "note", "wrong price")
    assert not await settle(ledger, "note", ID, seen, False, "")
    assert [one.reason for one in await held_types(ledger)] == ["wrong price"]
    assert await settle(ledger, "note", ID, await side(ledger), True, "")
    await release(ledger, "note")
    assert not await settle(ledger, "note", ID, seen, True, "paused")
    assert await held_types(ledger) == []


async def test_a_pause_takes_back_what_no_run_has_begun(ledger):
    await accepted(ledger, 3)
    await reserved(ledger)
    assert await settle(ledger, "note", ID, await side(ledger), True, "paused")
    assert {row.state for row in await rows(ledger)} == {"accepted"}
