"""`waypost send` watches what it sent, and says why it does not go on."""

from __future__ import annotations

import json
import time

import pytest
from asks import alert, order
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import submission
from deployments.registry import find
from deployments.submission import AWAY, NOBODY, submit, watch
from waypost.ledger import claims
from waypost.ledger.batches import Ending, end
from waypost.ledger.holds import hold
from waypost.priority import Priority

pytestmark = pytest.mark.anyio
NOWHERE = "http://127.0.0.1:9/api"


async def sent(ledger):
    line = json.dumps(order("A-1")).encode()
    return await submit(ledger, find("order-confirmation"), [line])


async def watched(ledger, made):
    async for _ in watch(ledger, made, every=0.01):
        pass
    return made.trouble


async def test_of_a_held_type_it_is_said_at_once(bench):
    ledger = bench.runtime.ledger
    await hold(ledger, "order-confirmation", "wrong price")
    made, began = await sent(ledger), time.monotonic()
    trouble = await watched(ledger, made)
    assert time.monotonic() - began < submission.STUCK_AFTER / 3
    assert trouble == (
        "order-confirmation is held (wrong price). What was accepted is safe in the ledger, and "
        "`waypost release order-confirmation` lets it go out"
    )
    assert (made.good, made.accepted) == (False, 1)
    assert made.summary_rows()[2:] == [("waiting for its type's release", 1)]


async def test_what_waits_for_a_digest_is_counted_as_held_though_nobody_watches(bench):
    lines = [json.dumps(alert(digest=digest)).encode() for digest in (True, False)]
    made = await submit(bench.runtime.ledger, find("alert"), lines)
    assert made.summary_rows()[2:] == [("waiting for a run", 1), ("held", 1)]
    assert made.summary()["states"] == {"accepted": 1, "held": 1}


@pytest.mark.parametrize(("api", "said"), [(None, NOBODY), (NOWHERE, AWAY)])
async def test_no_worker_is_not_the_same_as_no_prefect(bench, monkeypatch, api, said):
    monkeypatch.setattr(submission, "STUCK_AFTER", 0.1)
    made = await sent(bench.runtime.ledger)
    with temporary_settings({PREFECT_API_URL: api} if api else {}):
        assert await watched(bench.runtime.ledger, made) == said


async def test_what_a_worker_cannot_start_for_want_of_prefect_is_told_too(bench, monkeypatch):
    monkeypatch.setattr(submission, "STUCK_AFTER", 0.1)
    made = await sent(bench.runtime.ledger)
    await claims.reserve(bench.runtime.ledger, "order-confirmation", Priority.NORMAL)
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        assert await watched(bench.runtime.ledger, made) == AWAY


async def test_what_somebody_is_at_is_waited_for(bench, monkeypatch):
    monkeypatch.setattr(submission, "STUCK_AFTER", 0.1)
    ledger = bench.runtime.ledger
    made = await sent(ledger)
    claim = await claims.reserve(ledger, "order-confirmation", Priority.NORMAL)
    looks = watch(ledger, made, every=0.01)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        await anext(looks)
    assert made.trouble == ""
    await end(ledger, claim.id, Ending.LOST)
    async for _ in looks:
        pass
    assert made.trouble == NOBODY


async def test_a_line_that_would_never_be_sent_is_named_and_the_others_go(bench):
    asked = [{"expires_at": "2020-01-01T00:00:00Z"}, {}, {"channels": ["pigeon"]}]
    lines = [json.dumps({**order(f"A-{n}"), **more}).encode() for n, more in enumerate(asked)]
    made = await submit(bench.runtime.ledger, find("order-confirmation"), lines)
    refused = [(one.line, one.reason.partition(":")[0]) for one in made.rejections]
    assert (refused, made.accepted) == ([(1, "expires_at"), (3, "channels.0")], 1)
