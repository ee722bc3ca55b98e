"""A domain that asks bulk to slow down holds no urgent message back."""

import pytest
from support.flow_steps import run
from support.ledger import accepted, rows

from waypost.model.priority import Priority

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
URGENT, _, BULK = Priority
BUSY = "451 4.7.0 try again in 10 minutes"


async def states(ledger):
    return [row.state for row in await rows(ledger)]


async def test_a_code_goes_at_once_to_a_domain_that_put_bulk_off_and_ends_the_pause(
    ledger, bent, smtp, runtime_of
):
    server = bent(RCPT=BUSY)
    runtime = runtime_of(await smtp(server))
    await accepted(ledger, 1, priority=BULK)
    await run(runtime, BULK)
    server.bends.clear()
    await accepted(ledger, 1, priority=URGENT)
    await run(runtime, URGENT)
    assert await states(ledger) == ["deferred", "sent"]
    await accepted(ledger, 1, priority=BULK)
    await run(runtime, BULK)
    assert await states(ledger) == ["deferred", "sent", "sent"]


async def test_a_code_that_is_put_off_too_is_the_only_one_to_ask(ledger, bent, smtp, runtime_of):
    server = bent(RCPT=BUSY)
    runtime = runtime_of(await smtp(server))
    for lane in (BULK, URGENT, URGENT, BULK):
        await accepted(ledger, 1, priority=lane)
        await run(runtime, lane)
    assert sum(line.startswith("RCPT") for line in server.heard) == 2
    assert await states(ledger) == ["deferred"] * 4
